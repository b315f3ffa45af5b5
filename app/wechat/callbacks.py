"""Callbacks of accounts: WeChat checks the address and pushes messages. A message is stored before it is answered."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from app.events.catalogue import WechatMessage
from app.events.event import Record
from app.store.client import StoreUnavailable
from app.web.body import MAX_FIELD_LENGTH
from app.web.errors import BadRequest, NotFound
from app.web.i18n import N_
from app.wechat.hub import Hub
from app.wechat.lifespan import WeChatState
from app.wechat.message_crypto import BadMessage
from app.wechat.message_xml import filled, parse_xml
from app.wechat.pushes import MAX_BYTES, PushKeys, is_reply

SUCCESS = "success"
REPLY_TIMEOUT = 4.0
"""Seconds until a service must have sent the passive reply; WeChat waits 5 s."""
NONCE = re.compile(r"[A-Za-z0-9_-]{1,64}")


async def check(request: Request[WeChatState]) -> Response:
    """`GET /wechat/{account}/callback`: returns `echostr` if the signature is valid."""
    hub, push_keys = await _receiver(request)
    with refusing(hub.name):
        push_keys.check(request.query_params, request.state["wechat_clock"]())
    return PlainTextResponse(request.query_params.get("echostr", "")[:MAX_FIELD_LENGTH])


async def receive(request: Request[WeChatState]) -> Response:
    """`POST /wechat/{account}/callback`: stores the message, then answers `success` or a service's reply."""
    hub, push_keys = await _receiver(request)
    return await received(request, hub, push_keys)


async def received(request: Request[WeChatState], hub: Hub, push_keys: PushKeys) -> Response:
    """Stores a pushed message of an account. A repeat is dropped."""
    with refusing(hub.name):
        document, fields = await opened(request, push_keys)
        name = identity(hub.name, fields)
    text = document.decode("utf-8", "replace")
    event = WechatMessage(account=hub.name, appid=hub.account.appid, message=fields, xml=text)
    record = await request.state["wechat_messages"].add(name, event)
    reply = await _reply(request, record) if record is not None else None
    if reply is None:
        return PlainTextResponse(SUCCESS)
    nonce = request.query_params.get("nonce", "")
    sealed = push_keys.close(reply, nonce if NONCE.fullmatch(nonce) else "0", request.state["wechat_clock"]())
    return Response(sealed, media_type="application/xml")


async def opened(request: Request[Any], push_keys: PushKeys) -> tuple[bytes, dict[str, str]]:
    """(the XML of a push, its fields). Raises BadMessage."""
    document = push_keys.open(request.query_params, await _body(request), request.state["wechat_clock"]())
    fields = parse_xml(document)
    if "Encrypt" in fields and "FromUserName" not in fields:
        raise BadMessage("the message is encrypted, and encoding_aes_key is not set")
    return document, fields


def identity(account: str, fields: dict[str, str]) -> str:
    """The id of a message, the same for all its deliveries. Raises BadMessage for one that nothing tells apart.

    Events have no MsgId; those about a sent message name that one in MsgID.
    """
    sender = filled(fields, "FromUserName")
    if fields.get("MsgId", "").strip():
        return "\0".join([account, sender, fields["MsgId"]])
    told = (fields.get(name, "") for name in ("Event", "EventKey", "MsgID"))
    return "\0".join([account, sender, filled(fields, "CreateTime"), *told])


@contextmanager
def refusing(name: str) -> Iterator[None]:
    """Logs the reason of a BadMessage. Raises BadRequest."""
    try:
        yield
    except BadMessage as error:
        structlog.get_logger("wechat").warning("a callback was refused", account=name, why=str(error))
        raise BadRequest(N_("message: is not WeChat's"), field="message") from None


async def _receiver(request: Request[WeChatState]) -> tuple[Hub, PushKeys]:
    """Raises NotFound for an account without callbacks."""
    hub = await request.state["wechat"].get(request.path_params["account"])
    if hub is None or hub.account.token is None:
        raise NotFound
    account, key = hub.account, hub.account.encoding_aes_key
    return hub, PushKeys(account.appid, hub.account.token.get_secret_value(), key.get_secret_value() if key else "")


async def _body(request: Request[Any]) -> bytes:
    """The body, cut a little beyond MAX_BYTES: a larger one is refused without reading all of it."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BYTES:
            break
    return body


async def _reply(request: Request[WeChatState], record: Record) -> str | None:
    """The passive reply of a service; None for `success`."""
    try:
        async with asyncio.timeout(REPLY_TIMEOUT):
            reply = await request.state["wechat_ask_for_reply"](record)
    except TimeoutError:
        return None
    if reply is None or not is_reply(reply):
        return None
    with suppress(StoreUnavailable):  # the message is stored, and the reply is good
        await request.state["wechat_messages"].set_outcome(record.id, "replied")
    return reply
