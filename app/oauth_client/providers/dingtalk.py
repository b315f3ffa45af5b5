"""DingTalk (钉钉): its own names for the parameters of OAuth 2.0, and JSON requests."""

from collections.abc import Mapping
from typing import Any

from app.oauth_client.addresses import BaseAddress
from app.oauth_client.errors import BadCallback, BadProviderResponse, ProviderUnavailable, Revoked
from app.oauth_client.models import AuthRequest, Claims, ExternalProfile, picture, text, token
from app.oauth_client.provider import ClientInfo, Words
from app.oauth_client.providers.oauth2 import OAuth2, OAuth2Settings
from app.oauth_client.token_response import SIGN_IN_ERRORS, Errors, quotable

BAD_GRANTS = frozenset({"invalidParameter.authCode.notFound", "invalidParameter.refreshToken.notFound"})


class DingTalkSettings(OAuth2Settings):
    base_url: BaseAddress = "https://login.dingtalk.com"
    api_url: BaseAddress = "https://api.dingtalk.com"
    scopes: Words = ("openid",)


class DingTalk(OAuth2):
    label_by_default = "钉钉 DingTalk"
    authorize_path = "/oauth2/auth"
    _settings: DingTalkSettings

    @property
    def token_url(self) -> str:
        return f"{self._settings.api_url}/v1.0/oauth2/userAccessToken"

    def _query(self, auth_request: AuthRequest, client: ClientInfo) -> dict[str, str]:
        return super()._query(auth_request, client) | {"prompt": "consent"}

    def code_of(self, answer: Mapping[str, str]) -> str:
        return answer.get("authCode", "") or answer.get("code", "")

    async def _token_request(self, form: dict[str, str], errors: Errors) -> dict[str, Any]:
        document = {
            "clientId": self._settings.client_id,
            "clientSecret": self._settings.client_secret.get_secret_value(),
            "grantType": form["grant_type"],
            **({"code": form["code"]} if "code" in form else {"refreshToken": form["refresh_token"]}),
        }
        answer = await self._http.post_json(self.token_url, document)
        answered = answer.json()
        tokens = {
            "access_token": answered.get("accessToken"),
            "refresh_token": answered.get("refreshToken"),
            "expires_in": answered.get("expireIn"),
            "corpId": answered.get("corpId"),
        }
        if answer.status == 200 and token(tokens, "access_token"):
            return tokens
        code = text(answered, "code", 64)
        why = f"{answer.what}: {answer.status} {code!r}"
        said = quotable(text(answered, "message", 2000), *document.values())
        if code in BAD_GRANTS:
            raise (BadCallback if errors is SIGN_IN_ERRORS else Revoked)(why, said=said)
        raise (ProviderUnavailable if code.startswith("ServiceUnavailable") else BadProviderResponse)(why, said=said)

    async def _profile(self, answered: Claims) -> ExternalProfile:
        headers = {"x-acs-dingtalk-access-token": token(answered, "access_token")}
        answer = await self._http.get(f"{self._settings.api_url}/v1.0/contact/users/me", headers=headers)
        user = answer.json()
        if answer.status != 200 or not text(user, "openId"):
            raise BadProviderResponse(f"{answer.what}: {answer.status} {text(user, 'code', 64)!r}")
        nick = text(user, "nick")
        return ExternalProfile(
            issuer=self.issuer,
            subject=text(user, "unionId") or text(user, "openId"),
            names=(nick,) if nick else (),
            name=nick,
            picture=picture(user, "avatarUrl"),
            claims={**user, "corpId": answered.get("corpId")},
        )
