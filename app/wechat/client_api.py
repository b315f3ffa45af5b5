"""The client functions and the state of accounts: `/api/wechat`."""

import secrets
from functools import partial
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from app.accounts.guards import admin_required
from app.accounts.models import User
from app.accounts.services.services import PREFIX
from app.accounts.sign_in.current_user import api_secret
from app.web.body import Body, Text, json_body
from app.web.errors import BadRequest, Forbidden, SignInRequired
from app.web.i18n import N_
from app.web.openapi import ApiRoute, Operation, ResponseModel
from app.web.responses import json_response
from app.wechat.api_calls import good
from app.wechat.grants import check_grant, grant_of
from app.wechat.hub import Hub
from app.wechat.lifespan import WeChatState
from app.wechat.message_crypto import js_signature
from app.wechat.status import AccountStatus, found_hub, refresh_by_hand, status, statuses

JSON = dict[str, Any]


class JsSdkModel(ResponseModel):
    appId: str  # noqa: N815  WeChat's name
    timestamp: int
    nonceStr: str  # noqa: N815  WeChat's name
    signature: str


class TemplateMessage(Body):
    touser: Text
    template_id: Text
    data: dict[str, Any]
    url: Text | None = None
    miniprogram: dict[str, Text] | None = None
    client_msg_id: Text | None = None


class QrCode(Body):
    """`scene` is a text, or a number as in older codes."""

    scene: Annotated[str, Field(min_length=1, max_length=64)] | Annotated[int, Field(ge=1, lt=2**32)]
    seconds: Annotated[int, Field(ge=1, le=2_592_000)] = 2_592_000


@admin_required
async def list_accounts(request: Request[WeChatState], admin: User) -> Response:
    return json_response(await statuses(request))


@admin_required
async def refresh(request: Request[WeChatState], admin: User) -> Response:
    hub = await found_hub(request)
    await refresh_by_hand(hub)
    return json_response(await status(request, hub))


async def jssdk(request: Request[WeChatState]) -> Response:
    """`GET /api/wechat/{account}/jssdk?url=`, for pages of `jssdk_origins`."""
    hub, url = await found_hub(request), request.query_params.get("url", "")
    origin = _origin_of(url)
    if origin not in hub.account.jssdk_origins:
        raise BadRequest(N_("url: must be a page of jssdk_origins"), field="url")
    ticket = await hub.jsapi_ticket.get()
    nonce, timestamp = secrets.token_hex(8), int(request.state["wechat_clock"]())
    response = json_response(
        JsSdkModel(
            appId=hub.account.appid,
            timestamp=timestamp,
            nonceStr=nonce,
            signature=js_signature(ticket.value, nonce, timestamp, url),
        )
    )
    response.headers.update({"Access-Control-Allow-Origin": origin, "Vary": "Origin"})
    return response


async def preflight(request: Request[WeChatState]) -> Response:
    """`OPTIONS /api/wechat/{account}/jssdk`, from pages of `jssdk_origins`."""
    hub, origin = await found_hub(request), request.headers.get("origin", "")
    if origin not in hub.account.jssdk_origins:
        raise Forbidden(N_("Only pages of jssdk_origins can ask for this."))
    allowed = {"Access-Control-Allow-Methods": "GET", "Access-Control-Allow-Headers": "Accept, Content-Type"}
    headers = {"Access-Control-Allow-Origin": origin, "Access-Control-Max-Age": "600", "Vary": "Origin"}
    return Response(status_code=204, headers=headers | allowed)


async def show_user(request: Request[WeChatState]) -> Response:
    hub = await _granted(request, "cgi-bin/user/info")
    answer = await hub.call("GET", "cgi-bin/user/info", openid=request.path_params["openid"], lang="zh_CN")
    return json_response(good(answer))


async def send_template_message(request: Request[WeChatState]) -> Response:
    hub = await _granted(request, "cgi-bin/message/template/send")
    body = await json_body(request, TemplateMessage)
    document = body.model_dump(exclude_none=True)
    return json_response(good(await hub.call("POST", "cgi-bin/message/template/send", document)))


async def create_qrcode(request: Request[WeChatState]) -> Response:
    hub = await _granted(request, "cgi-bin/qrcode/create")
    body = await json_body(request, QrCode)
    action, name = ("QR_STR_SCENE", "scene_str") if isinstance(body.scene, str) else ("QR_SCENE", "scene_id")
    document = {
        "action_name": action, "expire_seconds": body.seconds, "action_info": {"scene": {name: body.scene}}
    }  # fmt: skip
    return json_response(good(await hub.call("POST", "cgi-bin/qrcode/create", document)))


def _origin_of(url: str) -> str:
    """The origin; empty if the text is not a URL."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc}"


async def _granted(request: Request[WeChatState], path: str) -> Hub:
    """The account, for a service whose grant covers the path. Raises SignInRequired, Forbidden, NotFound, TooMany."""
    secret = api_secret(request.scope) or ""
    service = await request.state["services"].authenticate(secret) if secret.startswith(PREFIX) else None
    if service is None:
        raise SignInRequired
    grant_of(service, request.path_params["account"])
    hub = await found_hub(request)
    await check_grant(request, service, hub, path, request.method)
    return hub


_wechat = partial(
    Operation,
    tag="wechat",
    parameters={"account": "The account's name.", "openid": "The user's openid."},
    problems=[502],
    guarded=True,
)
LIST = _wechat("The WeChat accounts and their tokens' state", list[AccountStatus], problems=())
REFRESH = _wechat("Replace the access token", AccountStatus)
JSSDK = _wechat("The JS-SDK's signature of a page", JsSdkModel, query={"url": "The page's URL."}, guarded=False)
USER = _wechat("A user of a service account, as WeChat's response", JSON)
TEMPLATE = _wechat("Send a template message: WeChat's response", JSON, body=TemplateMessage)
QRCODE = _wechat("Create a QR code with a scene: WeChat's response", JSON, body=QrCode)
ACCOUNT_PATH = "/api/wechat/{account}"
JSSDK_PATH = f"{ACCOUNT_PATH}/jssdk"

routes = [
    ApiRoute("GET", "/api/wechat", list_accounts, LIST, name="list_wechat_accounts"),
    ApiRoute("POST", f"{ACCOUNT_PATH}/refresh", refresh, REFRESH, name="refresh_wechat"),
    ApiRoute("GET", JSSDK_PATH, jssdk, JSSDK),
    ApiRoute("GET", f"{ACCOUNT_PATH}/user/{{openid}}", show_user, USER, name="wechat_user"),
    ApiRoute("POST", f"{ACCOUNT_PATH}/template-message", send_template_message, TEMPLATE),
    ApiRoute("POST", f"{ACCOUNT_PATH}/qrcode", create_qrcode, QRCODE),
]
