"""Whether a service may make a call: its grant for the account, and the limits in it."""

from starlette.requests import Request

from app.accounts.services.services import Service, WeChatGrant
from app.store.rate_limit import Rule
from app.web.errors import Forbidden, TooMany
from app.wechat.api_paths import is_allowed
from app.wechat.hub import Hub
from app.wechat.lifespan import WeChatState

MINUTE, DAY = 60, 86_400


def grant_of(service: Service, account: str) -> WeChatGrant:
    """Raises Forbidden."""
    grant = service.grants.wechat.get(account)
    if grant is None:
        raise Forbidden(f"the service needs the grant wechat.{account}")
    return grant


async def check_grant(
    request: Request[WeChatState], service: Service, hub: Hub, path: str, method: str = "GET"
) -> None:
    """Raises Forbidden without a grant that covers the call of WeChat's API, and TooMany beyond its limits."""
    grant = grant_of(service, hub.name)
    if not is_allowed(path, grant.paths, method):
        raise Forbidden(f"the grant wechat.{hub.name} does not cover the path {path} by {method}")
    limits = ((grant.per_minute, "wechat-minute", MINUTE), (grant.per_day, "wechat-day", DAY))
    spent = [(Rule(name, times, seconds), f"{service.id}:{hub.name}") for times, name, seconds in limits if times]
    wait = await request.state["rate_limiter"].spend(*spent) if spent else 0
    if wait:
        raise TooMany(wait)
