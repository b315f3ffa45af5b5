"""Every event: one class each. To add one, write its class and name it in EVENTS."""

from typing import ClassVar

from pydantic import Field

from app.events.event import Event

USER = "b1946ac92492d2347c6235b4d2611184"
ADMIN = "591785b794601e212b260e25925636fd"


class _OfUser(Event):
    user: str = Field(description="The user's id.", examples=[USER])
    by: str = Field("", description="The id of the user who did it; empty for the user alone.", examples=[ADMIN])


class UserCreated(_OfUser):
    """An account was created."""

    type: ClassVar[str] = "user.created"
    source: str = Field("", description="`sign-up`, `setup`, or the name of a provider.", examples=["sign-up"])


class UserRenamed(_OfUser):
    """A user has another name."""

    type: ClassVar[str] = "user.renamed"
    before: str = Field("", description="The former name.", examples=["bob"])


class UserDisabled(_OfUser):
    """An account was disabled and its sessions ended."""

    type: ClassVar[str] = "user.disabled"


class UserRemoved(_OfUser):
    """An account was removed with its sessions, tokens and linked identities."""

    type: ClassVar[str] = "user.removed"
    name: str = Field("", description="The last name.", examples=["bob"])


class SessionBegan(Event):
    """A user signed in."""

    type: ClassVar[str] = "session.began"
    user: str = Field(description="The user's id.", examples=[USER])
    auth_method: str = Field("", description="`password`, or the name of a provider.", examples=["password"])
    address: str = Field("", description="The address of the browser.", examples=["192.0.2.7"])


class SessionEnded(_OfUser):
    """One or more sessions of a user ended."""

    type: ClassVar[str] = "session.ended"
    why: str = Field(description="`sign_out`, `ended` or `disabled`.", examples=["sign_out"])
    detail: str = Field("", description="How many ended, or which provider ended it.", examples=["2 others"])


class SignInRefused(Event):
    """A sign-in failed. An unknown name has no user."""

    type: ClassVar[str] = "sign_in.refused"
    user: str = Field("", description="The user's id, if the name is a user's.", examples=[USER])
    address: str = Field("", description="The address of the browser.", examples=["192.0.2.7"])
    detail: str = Field("", description="The provider, or empty for a password.", examples=[""])


class LimitReached(Event):
    """A rate limit refused requests."""

    type: ClassVar[str] = "limit.reached"
    limit: str = Field(description="The limit's name.", examples=["sign-in"])
    address: str = Field("", description="The address that is limited.", examples=["192.0.2.7"])


class IdentityLinked(_OfUser):
    """An identity of a provider was linked to an account."""

    type: ClassVar[str] = "identity.linked"
    provider: str = Field("", description="The provider's name.", examples=["github"])


class IdentityUnlinked(_OfUser):
    """An identity of a provider was removed from an account."""

    type: ClassVar[str] = "identity.unlinked"
    provider: str = Field("", description="The provider's name.", examples=["github"])


class TokenCreated(_OfUser):
    """An API token was created."""

    type: ClassVar[str] = "token.created"
    name: str = Field("", description="The token's name, never the token.", examples=["backup"])


class TokenRevoked(_OfUser):
    """An API token was revoked."""

    type: ClassVar[str] = "token.revoked"


class CounterReached(Event):
    """A counter passed a number."""

    type: ClassVar[str] = "counter.reached"
    counter: str = Field(description="The counter's name.", examples=["home"])
    total: int = Field(description="The number that it passed.", examples=[1_000_000])


class SiteReached(Event):
    """The visits of a site passed a number."""

    type: ClassVar[str] = "site.reached"
    site: str = Field(description="The site's id.", examples=["k3v9q2m1xz"])
    visits: int = Field(description="The number that they passed.", examples=[10_000])


class ConfigChanged(Event):
    """A namespace of the configuration service has a new version. The values are not told."""

    type: ClassVar[str] = "config.changed"
    namespace: str = Field(description="The namespace.", examples=["shop"])
    version: int = Field(description="The new version.", examples=[12])
    keys: list[str] = Field(description="The keys that changed.", examples=[["price"]])
    by: str = Field("", description="The id of the user or the name of the service.", examples=[USER])
    why: str = Field("", description="The reason that was given.", examples=["Black Friday"])


class WechatMessage(Event):
    """A message came to a WeChat account."""

    type: ClassVar[str] = "wechat.message"
    account: str = Field(description="The account's name here.", examples=["official"])
    appid: str = Field("", description="The account's appid.", examples=["wxb11529c136998cb6"])
    message: dict[str, str] = Field(
        {}, description="WeChat's fields by name.", examples=[{"MsgType": "text", "Content": "你好"}]
    )
    xml: str = Field("", description="The message as it came, decrypted.", examples=["<xml>...</xml>"])


class KeyRotated(Event):
    """A signing key was published that takes the place of another one."""

    type: ClassVar[str] = "key.rotated"
    key: str = Field(description="The new key's id.", examples=["2026-11-es256"])
    algorithm: str = Field("", description="The key's algorithm.", examples=["ES256"])
    signs_from: float = Field(0.0, description="When it begins to sign, in Unix seconds.", examples=[1795924800.0])


class StoreLost(Event):
    """Redis stopped answering. Delivered when it answers again."""

    type: ClassVar[str] = "store.lost"
    since: float = Field(description="When, in Unix seconds.", examples=[1795838400.0])


class StoreBack(Event):
    """Redis answers again."""

    type: ClassVar[str] = "store.back"
    seconds: float = Field(description="How long it was away.", examples=[4.2])


class WebhookTest(Event):
    """A test of one webhook."""

    type: ClassVar[str] = "webhook.test"
    webhook: str = Field(description="The webhook's id.", examples=["wh_4f6c1a"])


EVENTS: dict[str, type[Event]] = {
    event.type: event
    for event in (
        UserCreated, UserRenamed, UserDisabled, UserRemoved, SessionBegan, SessionEnded, SignInRefused, LimitReached,
        IdentityLinked, IdentityUnlinked, TokenCreated, TokenRevoked, CounterReached, SiteReached, ConfigChanged,
        WechatMessage, KeyRotated, StoreLost, StoreBack, WebhookTest,
    )
}  # fmt: skip
