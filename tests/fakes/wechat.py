"""A WeChat that consents at once, and answers as the real one: JSON called text/plain, 200 for errors."""

import json
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.fakes.noted import Asked, Noted, without_gone

SECRETS = {"wx-website": "secret of the website", "wx-inside": "secret of the service account"}


@dataclass
class FakeWeChat(Noted):
    user: dict[str, Any] = field(default_factory=lambda: {"openid": "o6_bmjrPTlm6", "nickname": "张三\x07"})
    tokens: dict[str, Any] = field(default_factory=dict)
    callback: dict[str, Any] = field(default_factory=dict)
    codes: dict[str, str] = field(default_factory=dict)
    refusal: int = 0
    """The errcode with which it refuses to refresh."""

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/connect/qrconnect", self.noted(self._consent)),
                Route("/connect/oauth2/authorize", self.noted(self._consent)),
                Route("/sns/oauth2/access_token", self.noted(self._token)),
                Route("/sns/oauth2/refresh_token", self.noted(self._refresh)),
                Route("/sns/userinfo", self.noted(self._userinfo)),
            ]
        )

    def _consent(self, asked: Asked) -> Response:
        assert list(asked.query) == ["appid", "redirect_uri", "response_type", "scope", "state"]
        assert asked.query["scope"] == ("snsapi_login" if asked.path.endswith("qrconnect") else "snsapi_userinfo")
        assert asked.query["state"].isalnum()
        assert len(asked.query["state"]) <= 128
        code = secrets.token_hex(16)
        self.codes[code] = asked.query["appid"]
        answer = without_gone({"code": code, "state": asked.query["state"]} | self.callback)
        return RedirectResponse(f"{asked.query['redirect_uri']}?{urlencode(answer)}")

    def _token(self, asked: Asked) -> Response:
        appid = asked.query["appid"]
        if SECRETS[appid] != asked.query["secret"]:
            return odd_json({"errcode": 40125, "errmsg": "invalid appsecret, rid: 1"})
        if self.codes.pop(asked.query["code"], None) != appid:
            return odd_json({"errcode": 40029, "errmsg": "invalid code, rid: 2"})
        return self._tokens(f"REFRESH {appid}")

    def _refresh(self, asked: Asked) -> Response:
        if self.refusal:
            return odd_json({"errcode": self.refusal, "errmsg": "refused, rid: 3"})
        assert asked.query["grant_type"] == "refresh_token"
        assert asked.query["refresh_token"] == f"REFRESH {asked.query['appid']}"
        return self._tokens(asked.query["refresh_token"])

    def _tokens(self, refresh_token: str) -> Response:
        tokens = {
            "access_token": "ACCESS",
            "expires_in": 7200,
            "refresh_token": refresh_token,
            "openid": self.user["openid"],
            "scope": "snsapi_login",
        }
        return odd_json(without_gone(tokens | self.tokens))

    def _userinfo(self, asked: Asked) -> Response:
        assert asked.query["access_token"] == "ACCESS"
        return odd_json(without_gone(self.user))


def odd_json(document: dict[str, Any]) -> Response:
    """UTF-8, control characters and all, as text/plain without a charset."""
    body = json.dumps(document, ensure_ascii=False).replace("\\u0007", "\x07").encode()
    response = PlainTextResponse(body)
    response.headers["content-type"] = "text/plain"
    return response
