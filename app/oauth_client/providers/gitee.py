"""Gitee (码云): OAuth 2.0 without PKCE, with the user from its API."""

from app.oauth_client.addresses import BaseAddress
from app.oauth_client.errors import BadProviderResponse
from app.oauth_client.models import Claims, ExternalProfile, picture, text, token
from app.oauth_client.provider import Words
from app.oauth_client.providers.oauth2 import OAuth2, OAuth2Settings


class GiteeSettings(OAuth2Settings):
    base_url: BaseAddress = "https://gitee.com"
    scopes: Words = ("user_info", "emails")


class Gitee(OAuth2):
    label_by_default = "Gitee"
    authorize_path = "/oauth/authorize"

    @property
    def token_url(self) -> str:
        return f"{self._settings.base_url}/oauth/token"

    async def _profile(self, answered: Claims) -> ExternalProfile:
        access_token = token(answered, "access_token")
        user = await self._get(f"{self._settings.base_url}/api/v5/user", access_token)
        if type(user.get("id")) is not int or user["id"] <= 0:
            raise BadProviderResponse("Gitee's user has no id")
        return ExternalProfile(
            issuer=self.issuer,
            subject=str(user["id"]),
            names=tuple(filter(None, (text(user, "login"), text(user, "name")))),
            name=text(user, "name") or text(user, "login"),
            email=await self._email(access_token),
            picture=picture(user, "avatar_url"),
            claims=user,
        )

    async def _email(self, access_token: str) -> str | None:
        """The primary address if it is confirmed; None without the permission to read it."""
        headers = {"Authorization": f"Bearer {access_token}"}
        answer = await self._http.get(f"{self._settings.base_url}/api/v5/emails", headers=headers)
        listed = answer.value() if answer.status == 200 else None
        for one in listed if isinstance(listed, list) else []:
            if isinstance(one, dict) and one.get("state") == "confirmed" and "primary" in (one.get("scope") or ()):
                return text(one, "email") or None
        return None
