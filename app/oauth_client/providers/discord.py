"""Discord: OAuth 2.0, with the user from its API."""

from app.oauth_client.addresses import BaseAddress
from app.oauth_client.errors import BadProviderResponse
from app.oauth_client.models import Claims, ExternalProfile, text, token
from app.oauth_client.provider import Words
from app.oauth_client.providers.oauth2 import OAuth2, OAuth2Settings


class DiscordSettings(OAuth2Settings):
    base_url: BaseAddress = "https://discord.com"
    scopes: Words = ("identify", "email")


class Discord(OAuth2):
    label_by_default = "Discord"
    authorize_path = "/oauth2/authorize"
    pkce = True

    @property
    def token_url(self) -> str:
        return f"{self._settings.base_url}/api/oauth2/token"

    async def _profile(self, answered: Claims) -> ExternalProfile:
        user = await self._get(f"{self._settings.base_url}/api/users/@me", token(answered, "access_token"))
        subject, avatar = text(user, "id"), text(user, "avatar")
        if not subject:
            raise BadProviderResponse("Discord's user has no id")
        return ExternalProfile(
            issuer=self.issuer,
            subject=subject,
            names=tuple(filter(None, (text(user, "username"), text(user, "global_name")))),
            name=text(user, "global_name") or text(user, "username"),
            email=(text(user, "email") or None) if user.get("verified") is True else None,
            picture=f"https://cdn.discordapp.com/avatars/{subject}/{avatar}.png" if avatar.isalnum() else "",
            claims=user,
        )
