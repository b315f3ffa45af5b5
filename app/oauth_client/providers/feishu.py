"""Feishu (飞书) and Lark: OAuth 2.0 with JSON requests; the user from its API."""

from typing import Any

from app.oauth_client.addresses import BaseAddress
from app.oauth_client.errors import BadProviderResponse
from app.oauth_client.models import Claims, ExternalProfile, picture, text, token
from app.oauth_client.providers.oauth2 import OAuth2, OAuth2Settings


class FeishuSettings(OAuth2Settings):
    """Lark: `base_url` https://accounts.larksuite.com and `api_url` https://open.larksuite.com."""

    base_url: BaseAddress = "https://accounts.feishu.cn"
    api_url: BaseAddress = "https://open.feishu.cn"


class Feishu(OAuth2):
    label_by_default = "飞书 Feishu"
    authorize_path = "/open-apis/authen/v1/authorize"
    pkce = True
    _settings: FeishuSettings

    @property
    def token_url(self) -> str:
        return f"{self._settings.api_url}/open-apis/authen/v2/oauth/token"

    async def _post(self, form: dict[str, str]) -> Any:
        return await self._http.post_json(self.token_url, form)

    async def _profile(self, answered: Claims) -> ExternalProfile:
        url = f"{self._settings.api_url}/open-apis/authen/v1/user_info"
        document = await self._get(url, token(answered, "access_token"))
        user = document.get("data")
        if document.get("code") != 0 or not isinstance(user, dict) or not text(user, "open_id"):
            raise BadProviderResponse(f"GET {url}: code {str(document.get('code'))[:16]}")
        return ExternalProfile(
            issuer=self.issuer,
            subject=text(user, "open_id"),
            names=tuple(filter(None, (text(user, "name"), text(user, "en_name")))),
            name=text(user, "name"),
            email=text(user, "enterprise_email") or None,  # `email` is what the user typed
            picture=picture(user, "avatar_url"),
            claims=user,
        )
