"""Every event: one class each. To add one, write its class and name it in EVENTS."""

from pydantic import Field

from app.events.event import Event

USER = "b1946ac92492d2347c6235b4d2611184"
ADMIN = "591785b794601e212b260e25925636fd"


class _OfUser(Event):
    user: str = Field(description="The user's id.", examples=[USER])
    by: str = Field("", description="The id of the user who did it; empty for the user alone.", examples=[ADMIN])


class UserCreated(_OfUser, type="user.created"):
    """An account was created."""

    source: str = Field("", description="`sign-up`, `setup`, or the name of a provider.", examples=["sign-up"])


class UserRenamed(_OfUser, type="user.renamed"):
    """A user has another name."""

    before: str = Field("", description="The former name.", examples=["bob"])


class UserDisabled(_OfUser, type="user.disabled"):
    """An account was disabled and its sessions ended."""


class UserRemoved(_OfUser, type="user.removed"):
    """An account was removed with its sessions, tokens and linked identities."""

    name: str = Field("", description="The last name.", examples=["bob"])


class SessionBegan(Event, type="session.began"):
    """A user signed in."""

    user: str = Field(description="The user's id.", examples=[USER])
    auth_method: str = Field("", description="`password`, or the name of a provider.", examples=["password"])
    address: str = Field("", description="The address of the browser.", examples=["192.0.2.7"])


class SessionEnded(_OfUser, type="session.ended"):
    """One or more sessions of a user ended."""

    why: str = Field(description="`sign_out`, `ended` or `disabled`.", examples=["sign_out"])
    detail: str = Field("", description="How many ended, or which provider ended it.", examples=["2 others"])


class SignInRefused(Event, type="sign_in.refused"):
    """A sign-in failed. An unknown name has no user."""

    user: str = Field("", description="The user's id, if the name is a user's.", examples=[USER])
    address: str = Field("", description="The address of the browser.", examples=["192.0.2.7"])
    detail: str = Field("", description="The provider, or empty for a password.", examples=[""])


class LimitReached(Event, type="limit.reached"):
    """A rate limit refused requests."""

    limit: str = Field(description="The limit's name.", examples=["sign-in"])
    address: str = Field("", description="The address that is limited.", examples=["192.0.2.7"])


class IdentityLinked(_OfUser, type="identity.linked"):
    """An identity of a provider was linked to an account."""

    provider: str = Field("", description="The provider's name.", examples=["github"])


class IdentityUnlinked(_OfUser, type="identity.unlinked"):
    """An identity of a provider was removed from an account."""

    provider: str = Field("", description="The provider's name.", examples=["github"])


class TokenCreated(_OfUser, type="token.created"):
    """An API token was created."""

    name: str = Field("", description="The token's name, never the token.", examples=["backup"])


class TokenRevoked(_OfUser, type="token.revoked"):
    """An API token was revoked."""


class CounterReached(Event, type="counter.reached"):
    """A counter passed a number."""

    counter: str = Field(description="The counter's name.", examples=["home"])
    total: int = Field(description="The number that it passed.", examples=[1_000_000])


class SiteReached(Event, type="site.reached"):
    """The visits of a site passed a number."""

    site: str = Field(description="The site's id.", examples=["k3v9q2m1xz"])
    visits: int = Field(description="The number that they passed.", examples=[10_000])


class ConfigChanged(Event, type="config.changed"):
    """A namespace of the configuration service has a new version. The values are not told."""

    namespace: str = Field(description="The namespace.", examples=["shop"])
    version: int = Field(description="The new version.", examples=[12])
    keys: list[str] = Field(description="The keys that changed.", examples=[["price"]])
    by: str = Field("", description="The id of the user or the name of the service.", examples=[USER])
    why: str = Field("", description="The reason that was given.", examples=["Black Friday"])


class WechatMessage(Event, type="wechat.message"):
    """A message came to a WeChat account."""

    account: str = Field(description="The account's name here.", examples=["official"])
    appid: str = Field("", description="The account's appid.", examples=["wxb11529c136998cb6"])
    message: dict[str, str] = Field(
        {}, description="WeChat's fields by name.", examples=[{"MsgType": "text", "Content": "你好"}]
    )
    xml: str = Field("", description="The message as it came, decrypted.", examples=["<xml>...</xml>"])


class KeyRotated(Event, type="key.rotated"):
    """A signing key was published that takes the place of another one."""

    key: str = Field(description="The new key's id.", examples=["2026-11-es256"])
    algorithm: str = Field("", description="The key's algorithm.", examples=["ES256"])
    signs_from: float = Field(0.0, description="When it begins to sign, in Unix seconds.", examples=[1795924800.0])


class StoreLost(Event, type="store.lost"):
    """Redis stopped answering. Delivered when it answers again."""

    since: float = Field(description="When, in Unix seconds.", examples=[1795838400.0])


class StoreBack(Event, type="store.back"):
    """Redis answers again."""

    seconds: float = Field(description="How long it was away.", examples=[4.2])


class WebhookTest(Event, type="webhook.test"):
    """A test of one webhook."""

    webhook: str = Field(description="The webhook's id.", examples=["wh_4f6c1a"])


EVENTS: dict[str, type[Event]] = {
    event.type: event
    for event in (
        UserCreated, UserRenamed, UserDisabled, UserRemoved, SessionBegan, SessionEnded, SignInRefused, LimitReached,
        IdentityLinked, IdentityUnlinked, TokenCreated, TokenRevoked, CounterReached, SiteReached, ConfigChanged,
        WechatMessage, KeyRotated, StoreLost, StoreBack, WebhookTest,
    )
}  # fmt: skip
