"""What the WeChat for development pushes: messages and the platform's notices, plain or encrypted by wechatpy."""

import hashlib
import re
import secrets
from dataclasses import dataclass

import httpx
from wechatpy.crypto import WeChatCrypto  # type: ignore[import-untyped]

PATIENCE = 5
"""Seconds that WeChat waits for an answer."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """Who gets the pushes of an account. With a `key` they are encrypted for `appid`."""

    url: str
    appid: str
    token: str
    key: str = ""


def message(kind: str, now: float, sender: str = "o1", **fields: str) -> str:
    """A message of a user; an event has no id."""
    told = {"ToUserName": "gh_1", "FromUserName": sender, "CreateTime": str(int(now)), "MsgType": kind} | fields
    if kind != "event":
        told["MsgId"] = str(secrets.randbits(62))
    return xml(told)


def notice(appid: str, kind: str, now: float, **fields: str) -> str:
    """A notice of the open platform."""
    return xml({"AppId": appid, "CreateTime": str(int(now)), "InfoType": kind} | fields)


def xml(fields: dict[str, str]) -> str:
    return "<xml>" + "".join(f"<{name}><![CDATA[{value}]]></{name}>" for name, value in fields.items()) + "</xml>"


def signed(receiver: Receiver, document: str, now: float) -> tuple[dict[str, str], bytes]:
    """(the query, the body) of a push."""
    timestamp, nonce = str(int(now)), secrets.token_hex(4)
    plain = hashlib.sha1("".join(sorted((receiver.token, timestamp, nonce))).encode(), usedforsecurity=False)
    query = {"timestamp": timestamp, "nonce": nonce, "signature": plain.hexdigest()}
    if not receiver.key:
        return query, document.encode()
    crypto = WeChatCrypto(receiver.token, receiver.key, receiver.appid)
    sealed = crypto.encrypt_message(document, nonce, timestamp)
    found = re.search(r"<MsgSignature><!\[CDATA\[(\w+)", sealed)
    return query | {"msg_signature": found[1] if found else "", "encrypt_type": "aes"}, sealed.encode()


async def push(receiver: Receiver, document: str, now: float) -> str:
    """Pushes it once; the status and the answer."""
    query, body = signed(receiver, document, now)
    async with httpx.AsyncClient(timeout=PATIENCE, trust_env=False) as client:
        try:
            answer = await client.post(receiver.url, params=query, content=body, headers={"Content-Type": "text/xml"})
        except httpx.HTTPError as error:
            return f"{type(error).__name__}"
    return f"{answer.status_code} {answer.text}"
