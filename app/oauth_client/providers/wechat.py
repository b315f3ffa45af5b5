"""WeChat (微信): a QR code to scan with the phone or, inside WeChat's browser, its consent page.

Responses are JSON sent as text/plain, with status 200 for errors as well: `errcode` tells.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Self
from urllib.parse import urlencode

from pydantic import Field, SecretStr, ValidationInfo, model_validator

from app.oauth_client.addresses import BaseAddress
from app.oauth_client.errors import (
    BadCallback,
    BadProviderResponse,
    Denied,
    OAuthProblem,
    ProviderUnavailable,
    Revoked,
    SignUpNotAllowed,
)
from app.oauth_client.models import AuthRequest, Claims, ExternalProfile, Tokens, picture, text
from app.oauth_client.provider import ClientInfo, Provider, ProviderContext, ProviderSettings
from app.web.errors import Problem
from app.web.i18n import N_

REFUSALS: dict[int, type[OAuthProblem]] = {
    # the code is invalid, used, missing or expired: the user has to start again
    **dict.fromkeys((40029, 40163, 41008, 42003), BadCallback),
    # the refresh token is invalid or expired; the user changed the password
    **dict.fromkeys((40030, 42002, 42007), Revoked),
    # busy; the day's, or the minute's, quota is used up
    **dict.fromkeys((-1, 45009, 45011), ProviderUnavailable),
}


class WeChatSettings(ProviderSettings):
    """`appid` is a website app of the open platform; `inside_appid` a service account, used inside WeChat.

    `account` and `inside_account` name tables `[wechat.<account>]` instead. With `platform`, the name of a table
    `[wechat_platform.<name>]`, `inside_appid` is an account that authorised it, and has no secret here.
    """

    account: str = ""
    inside_account: str = ""
    platform: str = ""
    component_appid: str = ""
    appid: str = Field(min_length=1)
    secret: SecretStr = Field(min_length=1)
    inside_appid: str = ""
    inside_secret: SecretStr = SecretStr("")
    open_url: BaseAddress = "https://open.weixin.qq.com"
    api_url: BaseAddress = "https://api.weixin.qq.com"

    @model_validator(mode="before")
    @classmethod
    def _named(cls, table: Any, info: ValidationInfo) -> Any:
        """Fills in what the named tables hold."""
        if not isinstance(table, dict):
            return table
        context, found = info.context or {}, dict(table)
        if "component_appid" in found:
            raise ValueError("component_appid: name the platform instead")
        for prefix in ("", "inside_"):
            if name := table.get(f"{prefix}account"):
                other = _other(context, "wechat", f"{prefix}account", name)
                if {f"{prefix}appid", f"{prefix}secret"} & set(table):
                    raise ValueError(f"{prefix}account and {prefix}appid exclude each other")
                found |= {f"{prefix}appid": other.get("appid"), f"{prefix}secret": other.get("secret")}
                if "api_url" in other:
                    found.setdefault("api_url", other["api_url"])
        if name := table.get("platform"):
            found["component_appid"] = _other(context, "wechat_platform", "platform", name).get("appid")
        return found

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.platform:
            if not self.inside_appid or self.inside_secret.get_secret_value():
                raise ValueError("platform needs an inside_appid, and no inside_secret")
        elif bool(self.inside_appid) != bool(self.inside_secret.get_secret_value()):
            raise ValueError("inside_appid and inside_secret belong together")
        return self


def _other(context: Mapping[str, Any], setting: str, field: str, name: object) -> Mapping[str, Any]:
    """The table that a field names. Raises ValueError."""
    table: Mapping[str, Any] | None = context.get(setting, {}).get(name) if isinstance(name, str) else None
    if table is None:
        raise ValueError(f"{field}: there is no such table of {setting}")
    return table


class WeChat(Provider):
    reauthenticates = True

    def __init__(self, name: str, settings: WeChatSettings, context: ProviderContext) -> None:
        super().__init__(name, settings, context, label="微信 WeChat", issuer=settings.open_url)
        self._settings = settings
        self._component_tokens = context.component_tokens

    async def authorization_url(self, auth_request: AuthRequest, client: ClientInfo) -> str:
        """WeChat demands this order of parameters and the fragment. It has neither PKCE nor nonce."""
        inside = _inside(client)
        page, scope = ("oauth2/authorize", "snsapi_userinfo") if inside else ("qrconnect", "snsapi_login")
        query = {
            "appid": self._app(client)[0],
            "redirect_uri": client.redirect_uri,
            "response_type": "code",
            "scope": scope,
            "state": auth_request.state,
        }
        if self._is_component(query["appid"]):
            query["component_appid"] = self._settings.component_appid
        return f"{self._settings.open_url}/connect/{page}?{urlencode(query)}#wechat_redirect"

    async def check_answer(self, answer: Mapping[str, str]) -> None:
        await super().check_answer(answer)
        if answer.get("code", "") in {"", "authdeny"} and "error" not in answer:
            raise Denied("the callback has no code")

    async def identify(
        self, auth_request: AuthRequest, answer: Mapping[str, str], client: ClientInfo
    ) -> ExternalProfile:
        appid, secret = self._app(client)
        query = {"appid": appid, "secret": secret, "code": answer["code"], "grant_type": "authorization_code"}
        if self._is_component(appid):
            del query["secret"]
        tokens = await self._ask(*await self._as_component(appid, "access_token", query))
        if tokens.get("is_snapshotuser") in (1, "1"):
            raise SignUpNotAllowed(
                "a snapshot user", N_("WeChat shows this page to a visitor only: open it in full, and sign in again.")
            )
        access_token, openid = text(tokens, "access_token", 1024), text(tokens, "openid")
        if not access_token or not openid:
            raise BadProviderResponse("WeChat's answer lacks an access_token, or an openid")
        user = await self._ask("/sns/userinfo", {"access_token": access_token, "openid": openid, "lang": "zh_CN"})
        if user.get("openid") != openid:
            raise BadProviderResponse("WeChat's user is about another openid")
        unionid = text(user, "unionid") or text(tokens, "unionid")
        nickname = text(user, "nickname")
        of_app = f"openid:{appid}:{openid}"
        return ExternalProfile(
            issuer=self.issuer,
            # The unionid is the same for all apps of a company, and may come later; an openid belongs to one app.
            subject=f"unionid:{unionid}" if unionid else of_app,
            former_subjects=(of_app,) if unionid else (),
            app=self._account(client) or appid,
            app_subject=openid,
            # Outside WeChat each sign-in is confirmed on the phone.
            auth_time=0.0 if _inside(client) and not self._settings.assume_fresh else self._clock(),
            names=(nickname,) if nickname else (),
            name=nickname,
            picture=picture(user, "headimgurl"),
            claims=user,
            tokens=self._tokens(tokens, appid),
        )

    async def refresh(self, tokens: Tokens, subject: str) -> Tokens:
        query = {"appid": tokens.client, "grant_type": "refresh_token", "refresh_token": tokens.refresh_token}
        path, query = await self._as_component(tokens.client, "refresh_token", query)
        return self._tokens(await self._ask(path, query), tokens.client, before=tokens)

    def _tokens(self, answered: Claims, appid: str, before: Tokens | None = None) -> Tokens:
        tokens = Tokens.of(answered, now=self._clock(), refresh=self._settings.refresh, before=before)
        return replace(tokens, client=appid)

    def _app(self, client: ClientInfo) -> tuple[str, str]:
        settings = self._settings
        if _inside(client) and settings.inside_appid:
            return settings.inside_appid, settings.inside_secret.get_secret_value()
        return settings.appid, settings.secret.get_secret_value()

    def _account(self, client: ClientInfo) -> str:
        """The table `[wechat.<account>]` of the app, if the settings name one."""
        inside = _inside(client) and self._settings.inside_appid
        return self._settings.inside_account if inside else self._settings.account

    def _is_component(self, appid: str) -> bool:
        """Whether the platform signs in on behalf of the account."""
        return bool(self._settings.platform) and appid == self._settings.inside_appid

    async def _as_component(self, appid: str, name: str, query: dict[str, str]) -> tuple[str, dict[str, str]]:
        """The path and query of a call about tokens. Raises ProviderUnavailable."""
        if not self._is_component(appid):
            return f"/sns/oauth2/{name}", query
        try:
            token = await self._component_tokens[self._settings.platform]()
        except Problem as problem:
            raise ProviderUnavailable(f"the platform has no access token: {problem.detail}") from None
        component = {"component_appid": self._settings.component_appid, "component_access_token": token}
        return f"/sns/oauth2/component/{name}", query | component

    async def _ask(self, path: str, query: dict[str, str]) -> dict[str, Any]:
        answer = await self._http.get(f"{self._settings.api_url}{path}", params=query)
        document = answer.json("text/plain", "application/json")
        code = _errcode(document)
        if answer.status == 200 and not code:
            return document
        why = f"{answer.what}: {answer.status}, errcode {code}"
        raise REFUSALS.get(code, BadProviderResponse)(why)


def _errcode(document: dict[str, Any]) -> int:
    """0 without an error; sometimes the number is a string."""
    code = document.get("errcode", 0)
    try:
        return int(code) if isinstance(code, int | str) else 1
    except ValueError:
        return 1


def _inside(client: ClientInfo) -> bool:
    """Whether the browser is WeChat's; WeCom's calls itself both."""
    user_agent = client.user_agent.lower()
    return "micromessenger" in user_agent and "wxwork" not in user_agent
