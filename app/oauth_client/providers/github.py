"""GitHub and GitHub Enterprise: OAuth 2.0, with the profile from GitHub's API."""

import asyncio
from collections.abc import Mapping
from typing import Any

from app.oauth_client.addresses import BaseAddress
from app.oauth_client.errors import BadCallback, BadProviderResponse, OAuthProblem, Revoked
from app.oauth_client.models import Claims, ExternalProfile, picture, text, token
from app.oauth_client.provider import Words
from app.oauth_client.provider_http import ProviderResponse
from app.oauth_client.providers.oauth2 import OAuth2, OAuth2Settings
from app.oauth_client.token_response import Errors

REFUSALS: dict[str, type[OAuthProblem]] = {"bad_verification_code": BadCallback, "bad_refresh_token": Revoked}
"""Errors of a used or expired code or refresh token: the user has to start again."""


class GitHubSettings(OAuth2Settings):
    base_url: BaseAddress = "https://github.com"
    api_url: BaseAddress = "https://api.github.com"
    scopes: Words = ("read:user", "user:email")


class GitHub(OAuth2):
    label_by_default = "GitHub"
    authorize_path = "/login/oauth/authorize"
    pkce = True
    _settings: GitHubSettings

    @property
    def token_url(self) -> str:
        return f"{self._settings.base_url}/login/oauth/access_token"

    async def check_answer(self, answer: Mapping[str, str]) -> None:
        """`iss` (RFC 9207) is optional at GitHub; another issuer is refused."""
        ours = {self._settings.base_url, f"{self._settings.base_url}/login/oauth"}
        if "iss" in answer and answer["iss"] not in ours:
            raise BadCallback("the callback's iss is another provider's")

    async def _profile(self, answered: Claims) -> ExternalProfile:
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
        )

    async def _answered(self, answer: ProviderResponse, form: dict[str, str], errors: Errors) -> dict[str, Any]:
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
