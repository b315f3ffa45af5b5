"""GitHub and GitHub Enterprise: OAuth 2.0, with the profile from GitHub's API."""

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from pydantic import Field, SecretStr

from app.oauth_client.addresses import BaseAddress
from app.oauth_client.errors import BadCallback, BadProviderResponse, OAuthProblem, Revoked
from app.oauth_client.models import AuthRequest, Claims, ExternalProfile, Tokens, picture, text, token
from app.oauth_client.provider import ClientInfo, Provider, ProviderContext, ProviderSettings, Words
from app.oauth_client.provider_http import ProviderResponse

REFUSALS: dict[str, type[OAuthProblem]] = {"bad_verification_code": BadCallback, "bad_refresh_token": Revoked}
"""Errors of a used or expired code or refresh token: the user has to start again."""


class GitHubSettings(ProviderSettings):
    client_id: str = Field(min_length=1)
    client_secret: SecretStr = Field(min_length=1)
    base_url: BaseAddress = "https://github.com"
    api_url: BaseAddress = "https://api.github.com"
    scopes: Words = ("read:user", "user:email")


class GitHub(Provider):
    def __init__(self, name: str, settings: GitHubSettings, context: ProviderContext) -> None:
        self._settings = settings
        self._http = context.http
        self._clock = context.clock
        self.name = name
        self.label = settings.label or "GitHub"
        self.rule, self.groups_claim = settings.allow, settings.groups_claim
        self.issuer = settings.base_url
        self.reauthenticates = settings.assume_fresh

    async def authorization_url(self, auth_request: AuthRequest, client: ClientInfo) -> str:
        query = {
            "client_id": self._settings.client_id,
            "redirect_uri": client.redirect_uri,
            "scope": " ".join(self._settings.scopes),
            "state": auth_request.state,
            "code_challenge": auth_request.challenge,
            "code_challenge_method": "S256",
        }
        return f"{self._settings.base_url}/login/oauth/authorize?{urlencode(query)}"

    async def check_answer(self, answer: Mapping[str, str]) -> None:
        """`iss` (RFC 9207) is optional at GitHub; another issuer is refused."""
        ours = {self._settings.base_url, f"{self._settings.base_url}/login/oauth"}
        if "iss" in answer and answer["iss"] not in ours:
            raise BadCallback("the callback's iss is another provider's")

    async def identify(
        self, auth_request: AuthRequest, answer: Mapping[str, str], client: ClientInfo
    ) -> ExternalProfile:
        form = {"code": answer["code"], "redirect_uri": client.redirect_uri, "code_verifier": auth_request.verifier}
        answered = await self._token_request(form)
        bearer = {"Authorization": f"Bearer {token(answered, 'access_token')}"}
        user, email = await asyncio.gather(self._user(bearer), self._email(bearer))
        return ExternalProfile(
            issuer=self.issuer,
            subject=str(user["id"]),
            names=tuple(filter(None, (text(user, "login"), text(user, "name")))),
            name=text(user, "name") or text(user, "login"),
            email=email,
            picture=picture(user, "avatar_url"),
            claims=user,
            tokens=self._tokens(answered),
            auth_time=self._clock() if self._settings.assume_fresh else 0.0,  # GitHub does not tell
        )

    async def refresh(self, tokens: Tokens, subject: str) -> Tokens:
        """Only apps with expiring tokens have refresh tokens; each works once."""
        answered = await self._token_request({"grant_type": "refresh_token", "refresh_token": tokens.refresh_token})
        return self._tokens(answered, before=tokens)

    def _tokens(self, answered: Claims, before: Tokens | None = None) -> Tokens:
        return Tokens.of(answered, now=self._clock(), refresh=self._settings.refresh, before=before)

    async def _token_request(self, form: dict[str, str]) -> dict[str, Any]:
        """A response with an access token."""
        form |= {
            "client_id": self._settings.client_id,
            "client_secret": self._settings.client_secret.get_secret_value(),
        }
        answer = await self._http.post(f"{self._settings.base_url}/login/oauth/access_token", form)
        tokens = answer.json()
        if answer.status == 200 and token(tokens, "access_token") and text(tokens, "token_type").lower() == "bearer":
            return tokens
        why = f"{answer.what}: {answer.status} {text(tokens, 'error', 64)!r}"  # errors are 200 as well
        raise REFUSALS.get(text(tokens, "error"), BadProviderResponse)(why)

    async def _user(self, bearer: dict[str, str]) -> dict[str, Any]:
        answer = await self._api("/user", bearer)
        user = answer.json()
        # The id is permanent; a login can pass to another user.
        if answer.status != 200 or type(user.get("id")) is not int or user["id"] <= 0:
            raise BadProviderResponse(f"{answer.what}: {answer.status} without an id")
        return user

    async def _email(self, bearer: dict[str, str]) -> str | None:
        """The primary address if it is verified; None without permission to read it."""
        answer = await self._api("/user/emails", bearer)
        listed = answer.value() if answer.status == 200 else None
        every = listed if isinstance(listed, list) else []
        primary = [one for one in every if isinstance(one, dict) and one.get("primary") is True]
        if len(primary) != 1 or primary[0].get("verified") is not True:
            return None
        return text(primary[0], "email") or None

    async def _api(self, path: str, bearer: dict[str, str]) -> ProviderResponse:
        headers = bearer | {"Accept": "application/vnd.github+json"}
        return await self._http.get(self._settings.api_url + path, headers=headers)
