"""What every provider is: its settings, and the few things that the flow asks of it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from app.oauth_client.errors import Misconfigured
from app.oauth_client.metadata_cache import MetadataCache
from app.oauth_client.models import AuthRequest, ExternalProfile, LogoutRequest, Tokens
from app.oauth_client.provider_http import ProviderHttp
from app.oauth_client.rules import Rule
from app.web.errors import NotFound


def _words(value: object) -> object:
    return value.split() if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], BeforeValidator(_words)]
"""A list, or in an environment variable its words."""


class ProviderSettings(BaseModel):
    """What all tables `[oauth.<name>]` have. `label` is what the button says."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    type: str
    label: str = ""
    allow: Rule = Rule()
    refresh: bool = False
    """Whether the provider is asked again, by its refresh token, when the access token of a sign-in expires."""

    @classmethod
    def read(cls, name: str, table: Mapping[str, Any], *, private: bool) -> Self:
        """Raises Misconfigured."""
        try:
            return cls.model_validate(table, context={"private": private})
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in ("oauth", name, *first["loc"]))
            raise Misconfigured(f"{where}: {first['msg'].removeprefix('Value error, ')}") from None


@dataclass(frozen=True, slots=True)
class ProviderContext:
    """What a provider works with. `private`: it may be at a private address, and without HTTPS."""

    http: ProviderHttp
    metadata: MetadataCache
    clock: Callable[[], float]
    private: bool


@dataclass(frozen=True, slots=True)
class ClientInfo:
    """Who wants to sign in, as far as a provider has to know."""

    redirect_uri: str
    user_agent: str


class Provider(ABC):
    """Somebody who can say who a visitor is."""

    name: str
    label: str
    rule: Rule
    issuer: str
    """Whose all identities are that it tells of."""

    @abstractmethod
    async def authorization_url(self, auth_request: AuthRequest, client: ClientInfo) -> str:
        """Where to send the browser. Raises ProviderUnavailable, BadProviderResponse."""

    async def check_answer(self, answer: Mapping[str, str]) -> None:  # noqa: B027  nothing to find wrong is fine
        """Looks at the callback's parameters before anything is done with them. Raises BadCallback where they are
        another provider's, and Denied.
        """

    @abstractmethod
    async def identify(
        self, auth_request: AuthRequest, answer: Mapping[str, str], client: ClientInfo
    ) -> ExternalProfile:
        """Who it is, for the callback's parameters, which hold a `code`. Raises any OAuthProblem."""

    @abstractmethod
    async def refresh(self, tokens: Tokens, subject: str) -> Tokens:
        """The tokens that replace these (RFC 6749, 6), which are the subject's.

        Raises Revoked where the provider no longer vouches for the person, and any other OAuthProblem where it
        cannot be told.
        """

    async def sign_out_url(self, id_token: str, home: str) -> str | None:
        """Where to send a browser that has signed out here, so that it does there, too; None where that is not wanted.

        Raises ProviderUnavailable, BadProviderResponse.
        """
        return None

    async def logged_out(self, token: str) -> LogoutRequest:
        """Whose sessions the provider ends. Raises OAuthProblem."""
        raise NotFound


T = TypeVar("T", bound=ProviderSettings)


@dataclass(frozen=True, slots=True)
class ProviderType(Generic[T]):
    """A type of provider: what its table holds, and how one is made of that."""

    settings: type[T]
    make: Callable[[str, T, ProviderContext], Provider]
