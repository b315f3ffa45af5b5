"""WeCom (企业微信): a QR code or, inside WeCom, no question; the corporation's own token reads the member."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from pydantic import Field, SecretStr

from app.oauth_client.addresses import BaseAddress
from app.oauth_client.errors import (
    BadCallback,
    BadProviderResponse,
    Denied,
    ProviderUnavailable,
    Revoked,
    SignUpNotAllowed,
)
from app.oauth_client.models import AuthRequest, ExternalProfile, Tokens, picture, text, token
from app.oauth_client.provider import ClientInfo, Provider, ProviderContext, ProviderSettings
from app.oauth_client.token_response import quotable

BAD_CODES, BUSY, BAD_TOKENS = frozenset({40029, 42003, 41008}), frozenset({-1, 45009}), frozenset({40014, 42001})
NO_PERMISSION = 60011
"""Since 2022 an application may read few facts of a member."""


class WeComSettings(ProviderSettings):
    corpid: str = Field(min_length=1)
    agentid: str = Field(min_length=1)
    secret: SecretStr = Field(min_length=1)
    login_url: BaseAddress = "https://login.work.weixin.qq.com"
    open_url: BaseAddress = "https://open.weixin.qq.com"
    api_url: BaseAddress = "https://qyapi.weixin.qq.com"


class WeCom(Provider):
    reauthenticates = True

    def __init__(self, name: str, settings: WeComSettings, context: ProviderContext) -> None:
        super().__init__(name, settings, context, label="企业微信 WeCom", issuer=settings.api_url)
        self._settings = settings
        self._token = ("", 0.0)

    async def authorization_url(self, auth_request: AuthRequest, client: ClientInfo) -> str:
        settings = self._settings
        common = {"appid": settings.corpid, "agentid": settings.agentid, "redirect_uri": client.redirect_uri}
        if _inside(client):
            query = common | {"response_type": "code", "scope": "snsapi_base", "state": auth_request.state}
            return f"{settings.open_url}/connect/oauth2/authorize?{urlencode(query)}#wechat_redirect"
        query = {"login_type": "CorpApp"} | common | {"state": auth_request.state}
        return f"{settings.login_url}/wwlogin/sso/login?{urlencode(query)}"

    async def check_answer(self, answer: Mapping[str, str]) -> None:
        await super().check_answer(answer)
        if not answer.get("code") and "error" not in answer:
            raise Denied("the callback has no code")

    async def identify(
        self, auth_request: AuthRequest, answer: Mapping[str, str], client: ClientInfo
    ) -> ExternalProfile:
        found = await self._ask("/cgi-bin/auth/getuserinfo", {"code": answer["code"]})
        userid = text(found, "userid") or text(found, "UserId")
        if not userid:
            raise SignUpNotAllowed("the user is no member of the corporation")
        member = await self._ask("/cgi-bin/user/get", {"userid": userid}, allowed=NO_PERMISSION)
        name = text(member, "name")
        return ExternalProfile(
            issuer=self.issuer,
            subject=f"{self._settings.corpid}:{userid}",
            names=tuple(filter(None, (userid, name))),
            name=name or userid,
            email=text(member, "biz_mail") or None,  # the corporation gives it; `email` is what the member typed
            picture=picture(member, "avatar"),
            claims={**member, "userid": userid, "corpid": self._settings.corpid},
            # Outside WeCom each sign-in is confirmed on the phone.
            auth_time=0.0 if _inside(client) and not self._settings.assume_fresh else self._clock(),
        )

    async def refresh(self, tokens: Tokens, subject: str) -> Tokens:
        raise Revoked("WeCom gives users no refresh token")

    async def _ask(self, path: str, query: dict[str, str], *, allowed: int = 0) -> dict[str, Any]:
        document = await self._asked(path, query)
        if document.get("errcode") in BAD_TOKENS:  # another process has fetched a new one
            self._token = ("", 0.0)
            document = await self._asked(path, query)
        code = document.get("errcode")
        if code in {0, allowed}:
            return document
        refusal = BadCallback if code in BAD_CODES else ProviderUnavailable if code in BUSY else BadProviderResponse
        raise refusal(f"{path}: errcode {str(code)[:16]}", said=quotable(text(document, "errmsg"), *query.values()))

    async def _asked(self, path: str, query: dict[str, str]) -> dict[str, Any]:
        parameters = {"access_token": await self._corp_token()} | query
        answer = await self._http.get(f"{self._settings.api_url}{path}", params=parameters)
        return answer.json("application/json", "text/plain")

    async def _corp_token(self) -> str:
        """The corporation's token, which WeCom gives seldom: kept until five minutes before it expires."""
        kept, until = self._token
        if self._clock() < until:
            return kept
        secret = self._settings.secret.get_secret_value()
        query = {"corpid": self._settings.corpid, "corpsecret": secret}
        answer = await self._http.get(f"{self._settings.api_url}/cgi-bin/gettoken", params=query)
        document = answer.json("application/json", "text/plain")
        access_token, seconds = token(document, "access_token"), document.get("expires_in")
        if document.get("errcode") != 0 or not access_token or not isinstance(seconds, int):
            said = quotable(text(document, "errmsg"), secret)
            raise BadProviderResponse(f"{answer.what}: errcode {str(document.get('errcode'))[:16]}", said=said)
        self._token = (access_token, self._clock() + seconds - 300)
        return access_token


def _inside(client: ClientInfo) -> bool:
    """Whether the browser is WeCom's."""
    return "wxwork" in client.user_agent.lower()
