"""The state of accounts, for the API and the page: tokens and counts of calls."""

from starlette.requests import Request

from app.web.errors import NotFound
from app.web.openapi import ResponseModel
from app.wechat.call_counts import Call
from app.wechat.errcodes import QUOTA
from app.wechat.hub import Hub
from app.wechat.lifespan import WeChatState


class CallCount(ResponseModel):
    """`errcode` is WeChat's, or 502 or 504 where its response was not usable."""

    path: str
    errcode: int
    count: int


class AccountStatus(ResponseModel):
    """Times are Unix seconds, 0 for never; `age` is in seconds. `errcode` is of the last refused refresh."""

    name: str
    appid: str
    kind: str
    refreshed: float
    age: int | None
    expires: float
    errcode: int
    quota_errors: int
    calls: list[CallCount]


async def statuses(request: Request[WeChatState]) -> list[AccountStatus]:
    totals = await request.state["wechat_counts"].totals()
    return [await _status(request, hub, totals) for hub in await request.state["wechat"].all()]


async def status(request: Request[WeChatState], hub: Hub) -> AccountStatus:
    return await _status(request, hub, await request.state["wechat_counts"].totals())


async def found_hub(request: Request[WeChatState]) -> Hub:
    """The hub of the account that the path names. Raises NotFound."""
    hub = await request.state["wechat"].get(request.path_params["account"])
    if hub is None:
        raise NotFound
    return hub


async def refresh_by_hand(hub: Hub) -> None:
    """Replaces the access token. Raises WeChatProblem, NoToken."""
    await hub.access_token.replace((await hub.access_token.status()).value, by_hand=True)


async def _status(request: Request[WeChatState], hub: Hub, totals: dict[Call, int]) -> AccountStatus:
    token = await hub.access_token.status()
    calls = sorted((path, code, count) for (account, path, code), count in totals.items() if account == hub.name)
    return AccountStatus(
        name=hub.name,
        appid=hub.account.appid,
        kind=hub.account.kind,
        refreshed=token.refreshed,
        age=round(request.state["wechat_clock"]() - token.refreshed) if token.refreshed else None,
        expires=token.expires,
        errcode=token.errcode,
        quota_errors=sum(count for _, code, count in calls if code in QUOTA),
        calls=[CallCount(path=path, errcode=code, count=count) for path, code, count in calls],
    )
