"""Clients, authorization requests, families of tokens, and grants. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

ClientAuth = Literal["none", "secret", "private_key_jwt"]


@dataclass(frozen=True, slots=True)
class Client:
    """A relying party. `secrets` are SHA-256 digests, two at most: the previous one stays valid.

    `secret_method` is how it said at its registration that it sends one: both ways are accepted.
    """

    id: str
    name: str
    redirect_uris: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    secrets: tuple[str, ...] = ()
    public: bool = False
    jwks: Mapping[str, Any] | None = None
    groups: tuple[str, ...] | None = None
    first_party: bool = False
    pkce: bool = True
    device: bool = False
    introspect: bool = False
    disabled: bool = False
    id_token_alg: str = "ES256"  # noqa: S105 - an algorithm
    access_token_format: str = "opaque"  # noqa: S105 - a format
    subject: str = "public"
    logout_uri: str | None = None
    post_logout_redirect_uris: tuple[str, ...] = ()
    source: str = "file"
    created: float = 0.0
    registration_token: str | None = None
    secret_method: str = "client_secret_basic"  # noqa: S105 - a method

    @property
    def auth(self) -> ClientAuth:
        if self.public:
            return "none"
        return "private_key_jwt" if self.jwks is not None else "secret"

    def allowed(self, scopes: tuple[str, ...]) -> tuple[str, ...]:
        """The scopes that the client may have: an administrator may have taken one away since they were granted."""
        return tuple(scope for scope in scopes if scope in self.scopes)

    def may_be_used_by(self, groups: tuple[str, ...]) -> bool:
        """Whether a user in these groups may sign in to the client. The only place of this decision."""
        return self.groups is None or not set(self.groups).isdisjoint(groups)


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A validated request; no user is known yet. Times are Unix seconds. `locale` is the first of
    `ui_locales` that we speak.

    `asked` is the scope as the client sent it, `scopes` the part that it may have. `browser` is the digest of the
    cookie of the browser that started it. `known_session` and `known_auth_time` tell whether the user has authenticated
    since.
    """

    client: str
    redirect_uri: str
    scopes: tuple[str, ...]
    asked: tuple[str, ...]
    response_mode: str = "query"
    state: str | None = None
    nonce: str | None = None
    challenge: str | None = None
    prompt: tuple[str, ...] = ()
    max_age: int | None = None
    login_hint: str | None = None
    locale: str | None = None
    hint_subject: str | None = None
    at: float = 0.0
    browser: str = ""
    known_session: str = ""
    known_auth_time: float = 0.0
    consented: bool = False
    shown_to: str = ""
    """The id of the user whose consent was requested."""


@dataclass(frozen=True, slots=True)
class Family:
    """One sign-in to a client: its code, access tokens and refresh tokens live and die together.

    `session` is the root of the session that began it; with `offline` the family outlives it. `generation` counts the
    refresh tokens; 0 is the code. Access tokens issued before `not_before` are revoked.
    """

    id: str
    user: str
    client: str
    scopes: tuple[str, ...]
    asked: tuple[str, ...]
    session: str
    sid: str
    auth_time: float
    amr: tuple[str, ...] = ()
    nonce: str | None = None
    redirect_uri: str = ""
    challenge: str | None = None
    offline: bool = False
    generation: int = 0
    not_before: float = 0.0
    created: float = 0.0

    def outlives_session(self, client: Client) -> bool:
        return self.offline and "offline_access" in client.scopes


@dataclass(frozen=True, slots=True)
class Grant:
    """A service that a user has signed in to. Times are Unix seconds."""

    client: str
    scopes: tuple[str, ...] = field(default=())
    first: float = 0.0
    last: float = 0.0
