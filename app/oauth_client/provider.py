"""The interface of providers: settings, and the methods that the flow calls."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, Generic, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from app.oauth_client.errors import BadCallback, Misconfigured
from app.oauth_client.metadata_cache import MetadataCache
from app.oauth_client.models import AuthRequest, ExternalProfile, LogoutRequest, Tokens
from app.oauth_client.provider_http import ProviderHttp
from app.oauth_client.rules import Rule
from app.web.errors import NotFound


def _words(value: object) -> object:
    return value.split() if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], BeforeValidator(_words)]
"""A list; in an environment variable, words."""


Tables = Mapping[str, Mapping[str, Any]]
NO_TABLES: Mapping[str, Tables] = MappingProxyType({})
ComponentToken = Callable[[], Awaitable[str]]
"""The access token of one of WeChat's third-party platforms."""


class ProviderSettings(BaseModel):
    """The settings that every table `[oauth.<name>]` has. `label` is the text of the button."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    type: str
    label: str = ""
    allow: Rule = Rule()
    refresh: bool = False
    """Whether the session is rechecked with the refresh token when the access token expires."""
    groups_claim: str = "groups"
    """The claim that names the user's groups; dots lead to one inside another."""
    assume_fresh: bool = False
    """Whether a sign-in counts as an authentication of the moment, although the provider does not say so."""

    @classmethod
    def read(
        cls, name: str, table: Mapping[str, Any], *, private: bool, others: Mapping[str, Tables] = NO_TABLES
    ) -> Self:
        """`others` are settings whose tables this one may name. Raises Misconfigured."""
        try:
            return cls.model_validate(table, context={"private": private, **others})
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in ("oauth", name, *first["loc"]))
            raise Misconfigured(f"{where}: {first['msg'].removeprefix('Value error, ')}") from None


@dataclass(frozen=True, slots=True)
class ProviderContext:
    """The resources of a provider. `private` allows private addresses and plain HTTP."""

    http: ProviderHttp
    metadata: MetadataCache
    clock: Callable[[], float]
    private: bool
    component_tokens: Mapping[str, ComponentToken]
    """By the platform's name; filled before the first request."""


@dataclass(frozen=True, slots=True)
class ClientInfo:
    """The browser that signs in, as far as a provider needs to know it."""

    redirect_uri: str
    user_agent: str


class Provider(ABC):
    """An identity provider. `issuer` is the issuer of its identities; `label` holds where the settings have none."""

    form_post: bool = False
    """Whether the callback comes as a form, from the provider's site."""
    reauthenticates: bool = False
    """Whether it can be asked to authenticate the user again."""

    def __init__(
        self, name: str, settings: ProviderSettings, context: ProviderContext, *, label: str, issuer: str
    ) -> None:
        self.name, self.label, self.issuer = name, settings.label or label, issuer
        self.rule, self.groups_claim = settings.allow, settings.groups_claim
        self._http, self._clock = context.http, context.clock

    def issues(self, issuer: str) -> bool:
        return issuer == self.issuer

    @abstractmethod
    async def authorization_url(self, auth_request: AuthRequest, client: ClientInfo) -> str:
        """The authorization URL. Raises ProviderUnavailable, BadProviderResponse."""

    def code_of(self, answer: Mapping[str, str]) -> str:
        """The code in the callback's parameters; empty if there is none."""
        return answer.get("code", "")

    async def check_answer(self, answer: Mapping[str, str]) -> None:
        """Checks the callback's parameters first. Raises BadCallback for another provider's response (mix-up), and
        Denied. Most providers without OpenID Connect send no `iss` (RFC 9207).
        """
        if "iss" in answer:
            raise BadCallback("the callback's iss is another provider's")

    @abstractmethod
    async def identify(
        self, auth_request: AuthRequest, answer: Mapping[str, str], client: ClientInfo
    ) -> ExternalProfile:
        """The profile of the user, for callback parameters with a `code`. Raises any OAuthProblem."""

    @abstractmethod
    async def refresh(self, tokens: Tokens, subject: str) -> Tokens:
        """Refreshes the subject's tokens (RFC 6749, 6).

        Raises Revoked if the provider refuses, and any other OAuthProblem if it gives no answer to that.
        """

    async def sign_out_url(self, id_token: str, home: str) -> str | None:
        """The URL of the provider's sign-out page, which leads back to `home`; None if it is not used.

        Raises ProviderUnavailable, BadProviderResponse.
        """
        return None

    async def logged_out(self, token: str) -> LogoutRequest:
        """Validates a logout token. Raises OAuthProblem."""
        raise NotFound


class Issuers:
    """The issuers of all providers, as a container."""

    def __init__(self, providers: Collection[Provider]) -> None:
        self._providers = providers

    def __contains__(self, issuer: object) -> bool:
        return isinstance(issuer, str) and any(provider.issues(issuer) for provider in self._providers)


T = TypeVar("T", bound=ProviderSettings)


@dataclass(frozen=True, slots=True)
class ProviderType(Generic[T]):
    """A type of provider: the settings of its table, and its factory."""

    settings: type[T]
    make: Callable[[str, T, ProviderContext], Provider]
