"""Verifies and decrypts pushed messages, and encrypts replies. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.wechat.message_crypto import BadMessage, decrypt, encrypt, signature, verify
from app.wechat.message_xml import parse_xml

MAX_AGE = 300
"""Seconds between a push's timestamp and now."""
MAX_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class PushKeys:
    """The keys of an account's pushes. With an AES key no plain push is accepted."""

    appid: str
    token: str = field(repr=False)
    encoding_aes_key: str = field(default="", repr=False)

    def check(self, query: Mapping[str, str], now: float) -> None:
        """Checks a request without a message. Raises BadMessage."""
        _check_age(query, now)
        verify(query.get("signature", ""), self.token, query.get("timestamp", ""), query.get("nonce", ""))

    def open(self, query: Mapping[str, str], body: bytes, now: float) -> bytes:
        """The message's XML. Raises BadMessage."""
        if len(body) > MAX_BYTES:
            raise BadMessage("the message is too large")
        if not self.encoding_aes_key:
            self.check(query, now)
            return body
        _check_age(query, now)
        encrypted = parse_xml(body).get("Encrypt", "")
        given, timestamp, nonce = (query.get(name, "") for name in ("msg_signature", "timestamp", "nonce"))
        verify(given, self.token, timestamp, nonce, encrypted)
        return decrypt(self.encoding_aes_key, self.appid, encrypted)

    def close(self, reply: str, nonce: str, now: float) -> str:
        """The passive reply, encrypted if the pushes are."""
        if not self.encoding_aes_key:
            return reply
        encrypted, timestamp = encrypt(self.encoding_aes_key, self.appid, reply.encode()), str(int(now))
        signed = signature(self.token, timestamp, nonce, encrypted)
        return (
            f"<xml><Encrypt><![CDATA[{encrypted}]]></Encrypt><MsgSignature>{signed}</MsgSignature>"
            f"<TimeStamp>{timestamp}</TimeStamp><Nonce><![CDATA[{nonce}]]></Nonce></xml>"
        )


def is_reply(text: str) -> bool:
    """Whether a text is a passive reply: one document `<xml>` with a MsgType."""
    if not text.lstrip().startswith("<xml>") or len(text) > MAX_BYTES:
        return False
    try:
        return bool(parse_xml(text.encode("utf-8", "replace")).get("MsgType"))
    except BadMessage:
        return False


def _check_age(query: Mapping[str, str], now: float) -> None:
    timestamp = query.get("timestamp", "")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise BadMessage("the timestamp is no number")
    if abs(now - int(timestamp)) > MAX_AGE:
        raise BadMessage("the timestamp is too old")
