"""Callbacks: WeChat checks the address and pushes messages. A message is stored before it is answered."""

from typing import Any

import structlog
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from app.events.catalogue import WechatMessage
from app.web.errors import BadRequest, NotFound
from app.web.i18n import N_
from app.wechat.hub import Hub
from app.wechat.lifespan import WeChatState
from app.wechat.message_crypto import BadMessage, decrypt, verify
from app.wechat.message_xml import parse_xml

MAX_AGE = 300
"""Seconds between a message's timestamp and now."""
MAX_MESSAGE_BYTES = 256 * 1024


async def check(request: Request[WeChatState]) -> Response:
    """`GET /wechat/{account}/callback`: the echo, once the signature is right."""
    hub, token = _receiver(request)
    query = request.query_params
    try:
        _fresh(request)
        verify(query.get("signature", ""), token, query.get("timestamp", ""), query.get("nonce", ""))
    except BadMessage as error:
        raise _refused(hub, error) from None
    return PlainTextResponse(query.get("echostr", "")[:1024])


async def receive(request: Request[WeChatState]) -> Response:
    """`POST /wechat/{account}/callback`: stores the message, then answers `success`. A repeat is dropped."""
    hub, token = _receiver(request)
    try:
        _fresh(request)
        document = _opened(request, hub, token, await request.body())
        fields = parse_xml(document)
        event = WechatMessage(
            account=hub.name, appid=hub.account.appid, message=fields, xml=document.decode("utf-8", "replace")
        )
    except BadMessage as error:
        raise _refused(hub, error) from None
    stored = await request.state["wechat_messages"].add(identity(hub.name, fields), event)
    structlog.get_logger("wechat").debug("a message came", account=hub.name, repeat=not stored)
    return PlainTextResponse("success")


def identity(account: str, fields: dict[str, str]) -> str:
    """The same for all deliveries of a message."""
    names = ("MsgId",) if fields.get("MsgId") else ("CreateTime", "Event", "EventKey")
    return "\0".join([account, fields.get("FromUserName", ""), *(fields.get(name, "") for name in names)])


def _receiver(request: Request[Any]) -> tuple[Hub, str]:
    """(the account, its callback token). Raises NotFound."""
    hub: Hub | None = request.state["wechat"].get(request.path_params["account"])
    token: SecretStr | None = hub.account.token if hub is not None else None
    if hub is None or token is None:
        raise NotFound
    return hub, token.get_secret_value()


def _fresh(request: Request[WeChatState]) -> None:
    timestamp = request.query_params.get("timestamp", "")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise BadMessage("the timestamp is no number")
    if abs(request.state["wechat_clock"]() - int(timestamp)) > MAX_AGE:
        raise BadMessage("the timestamp is too old")


def _opened(request: Request[WeChatState], hub: Hub, token: str, body: bytes) -> bytes:
    """The message's XML, decrypted if need be. An account with a key accepts no plain message. Raises BadMessage."""
    if len(body) > MAX_MESSAGE_BYTES:
        raise BadMessage("the message is too large")
    query = request.query_params
    timestamp, nonce = query.get("timestamp", ""), query.get("nonce", "")
    if hub.account.encoding_aes_key is None:
        verify(query.get("signature", ""), token, timestamp, nonce)
        return body
    encrypted = parse_xml(body).get("Encrypt", "")
    verify(query.get("msg_signature", ""), token, timestamp, nonce, encrypted)
    return decrypt(hub.account.encoding_aes_key.get_secret_value(), hub.account.appid, encrypted)


def _refused(hub: Hub, error: BadMessage) -> BadRequest:
    structlog.get_logger("wechat").warning("a callback was refused", account=hub.name, why=str(error))
    return BadRequest(N_("message: is not WeChat's"), field="message")
