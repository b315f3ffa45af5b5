"""The base of providers that speak OAuth 2.0 without OpenID Connect."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar
from urllib.parse import urlencode

from pydantic import Field, SecretStr

from app.oauth_client.addresses import BaseAddress
from app.oauth_client.errors import BadProviderResponse
from app.oauth_client.models import AuthRequest, Claims, ExternalProfile, Tokens, token
from app.oauth_client.provider import ClientInfo, Provider, ProviderContext, ProviderSettings, Words
from app.oauth_client.provider_http import ProviderResponse
from app.oauth_client.token_response import REFRESH_ERRORS, SIGN_IN_ERRORS, Errors, tokens_of


class OAuth2Settings(ProviderSettings):
    client_id: str = Field(min_length=1)
    client_secret: SecretStr = Field(min_length=1)
    base_url: BaseAddress
    scopes: Words = ()


class OAuth2(Provider):
    """A provider with an endpoint that tells the user of an access token."""

    label_by_default: ClassVar[str]
    authorize_path: ClassVar[str]
    pkce: ClassVar[bool] = False

    def __init__(self, name: str, settings: OAuth2Settings, context: ProviderContext) -> None:
        super().__init__(name, settings, context, label=self.label_by_default, issuer=settings.base_url)
        self._settings = settings
        self.reauthenticates = settings.assume_fresh

    async def authorization_url(self, auth_request: AuthRequest, client: ClientInfo) -> str:
        return f"{self._settings.base_url}{self.authorize_path}?{urlencode(self._query(auth_request, client))}"

    def _query(self, auth_request: AuthRequest, client: ClientInfo) -> dict[str, str]:
        return {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": client.redirect_uri,
            "scope": " ".join(self._settings.scopes),
            "state": auth_request.state,
            **({"code_challenge": auth_request.challenge, "code_challenge_method": "S256"} if self.pkce else {}),
        }

    async def identify(
        self, auth_request: AuthRequest, answer: Mapping[str, str], client: ClientInfo
    ) -> ExternalProfile:
        form = {"grant_type": "authorization_code", "code": answer["code"], "redirect_uri": client.redirect_uri}
        form |= {"code_verifier": auth_request.verifier} if self.pkce else {}
        answered = await self._token_request(form, SIGN_IN_ERRORS)
        profile = await self._profile(answered)
        # These providers do not say when they authenticated the user.
        auth_time = self._clock() if self._settings.assume_fresh else 0.0
        return replace(profile, tokens=self._tokens(answered), auth_time=auth_time)

    async def refresh(self, tokens: Tokens, subject: str) -> Tokens:
        form = {"grant_type": "refresh_token", "refresh_token": tokens.refresh_token}
        return self._tokens(await self._token_request(form, REFRESH_ERRORS), before=tokens)

    def _tokens(self, answered: Claims, before: Tokens | None = None) -> Tokens:
        return Tokens.of(answered, now=self._clock(), refresh=self._settings.refresh, before=before)

    async def _token_request(self, form: dict[str, str], errors: Errors) -> dict[str, Any]:
        """A response with an access token."""
        secret = self._settings.client_secret.get_secret_value()
        form |= {"client_id": self._settings.client_id, "client_secret": secret}
        return await self._answered(await self._post(form), form, errors)

    async def _answered(self, answer: ProviderResponse, form: dict[str, str], errors: Errors) -> dict[str, Any]:
        answered = tokens_of(answer, form, errors)
        if not token(answered, "access_token"):
            raise BadProviderResponse(f"{answer.what}: {answer.status} without an access_token")
        return answered

    async def _post(self, form: dict[str, str]) -> Any:
        return await self._http.post(self.token_url, form)

    @property
    @abstractmethod
    def token_url(self) -> str: ...

    @abstractmethod
    async def _profile(self, answered: Claims) -> ExternalProfile:
        """The user of the access token in a response."""

    async def _get(self, url: str, access_token: str, **options: Any) -> dict[str, Any]:
        answer = await self._http.get(url, headers={"Authorization": f"Bearer {access_token}"}, **options)
        if answer.status != 200:
            raise BadProviderResponse(f"{answer.what}: {answer.status}")
        return answer.json()
