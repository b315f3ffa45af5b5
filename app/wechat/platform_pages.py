"""Open platforms: their callbacks, and the pages on which an account authorises them."""

from collections.abc import Mapping
from contextlib import suppress

import structlog
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from app.accounts.guards import admin_required
from app.accounts.helpers import own_origin, page, redirect_with_message
from app.accounts.models import User
from app.store.client import StoreUnavailable
from app.web.errors import BadRequest, NotFound
from app.web.i18n import N_
from app.wechat.callbacks import SUCCESS, opened, received, refusing
from app.wechat.lifespan import WeChatState
from app.wechat.message_crypto import BadMessage
from app.wechat.message_xml import filled
from app.wechat.models import NAME
from app.wechat.platform import Platform
from app.wechat.pushes import MAX_AGE, PushKeys

PAGE = "/admin/wechat"
MAX_CODE = 512


async def receive(request: Request[WeChatState]) -> Response:
    """`POST /wechat/platform/{name}/callback`: tickets, authorizations and their withdrawals."""
    platform = _platform(request)
    with refusing(f"platform {platform.name}"):
        _, fields = await opened(request, _push_keys(platform))
        match fields.get("InfoType"):
            case "component_verify_ticket":
                created = _created(fields, request.state["wechat_clock"]())
                await platform.save_ticket(filled(fields, "ComponentVerifyTicket"), created)
            case "authorized" | "updateauthorized":
                await _authorize(platform, filled(fields, "AuthorizationCode"))
            case "unauthorized" if NAME.fullmatch(filled(fields, "AuthorizerAppid")):
                await request.state["wechat"].withdraw(platform, fields["AuthorizerAppid"])
    structlog.get_logger("wechat").info("a notice came", platform=platform.name, kind=fields.get("InfoType", "")[:64])
    return PlainTextResponse(SUCCESS)


def _created(fields: Mapping[str, str], now: float) -> int:
    """When a notice was made. Raises BadMessage: one of the future would outlive all that follow."""
    created = fields.get("CreateTime", "")
    if not (created.isascii() and created.isdigit() and len(created) <= 12) or int(created) > now + MAX_AGE:
        raise BadMessage("CreateTime is no time of the past")
    return int(created)


async def receive_message(request: Request[WeChatState]) -> Response:
    """`POST /wechat/platform/{name}/{appid}/callback`: a message to an account that authorised the platform."""
    platform = _platform(request)
    hub = await request.state["wechat"].authorized(platform, request.path_params["appid"])
    if hub is None:
        raise NotFound
    return await received(request, hub, _push_keys(platform))


@admin_required
async def authorize(request: Request[WeChatState], admin: User) -> Response:
    """`GET /wechat/platform/{name}/authorize`: the link to WeChat's page of consent.

    WeChat wants to see from which domain the browser comes: this page tells its origin.
    """
    platform = _platform(request)
    url = await platform.consent_url(f"{own_origin(request)}/wechat/platform/{platform.name}/authorized")
    response = await page(request, "wechat/authorize.html", platform=platform.name, url=url)
    response.headers["Referrer-Policy"] = "origin"
    return response


@admin_required
async def authorized(request: Request[WeChatState], admin: User) -> Response:
    """`GET /wechat/platform/{name}/authorized?auth_code=`: WeChat redirects here after the consent."""
    code = request.query_params.get("auth_code", "")
    if not code:
        raise BadRequest(N_("auth_code: is missing"), field="auth_code")
    await _authorize(_platform(request), code)
    return await redirect_with_message(request, PAGE, N_("The account is authorised."))


async def _authorize(platform: Platform, code: str) -> None:
    """Exchanges a code once: the browser and a push both bring it. After a failure it may be tried again."""
    if not code or len(code) > MAX_CODE:
        raise BadRequest(N_("auth_code: is missing"), field="auth_code")
    if not await platform.store.claim(code):
        return
    try:
        await platform.exchange(code)
    except BaseException:
        with suppress(StoreUnavailable):
            await platform.store.release(code)
        raise


def _platform(request: Request[WeChatState]) -> Platform:
    """The platform that the path names. Raises NotFound."""
    platform = request.state["wechat"].platforms.get(request.path_params["name"])
    if platform is None:
        raise NotFound
    return platform


def _push_keys(platform: Platform) -> PushKeys:
    settings = platform.settings
    return PushKeys(settings.appid, settings.token.get_secret_value(), settings.encoding_aes_key.get_secret_value())
