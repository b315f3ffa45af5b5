"""The WeChat of `dev`, but one that consents at once, and misbehaves where a test says so."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from dev.wechat.sign_in import SCOPES, WeChat, odd_json
from tests.fakes.noted import Asked, Noted, without_gone

SECRETS = {"wx-website": "secret of the website", "wx-inside": "secret of the service account"}


@dataclass
class FakeWeChat(Noted):
    user: dict[str, Any] = field(default_factory=lambda: {"openid": "o6_bmjrPTlm6", "nickname": "张三\x07"})
    tokens: dict[str, Any] = field(default_factory=dict)
    callback: dict[str, Any] = field(default_factory=dict)
    refusal: int = 0
    """The errcode with which it refuses to refresh."""
    wechat: WeChat = field(default_factory=lambda: WeChat(SECRETS))

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                *(Route(path, self.noted(self._consent)) for path in SCOPES),
                Route("/sns/oauth2/access_token", self.noted(self._token)),
                Route("/sns/oauth2/refresh_token", self.noted(self._refresh)),
                Route("/sns/userinfo", self.noted(self._userinfo)),
            ]
        )

    def _consent(self, asked: Asked) -> Response:
        assert self.wechat.mistake(asked.path, asked.query) is None
        code = self.wechat.code(asked.query["appid"], self.user)
        answer = without_gone({"code": code, "state": asked.query["state"]} | self.callback)
        return RedirectResponse(f"{asked.query['redirect_uri']}?{urlencode(answer)}")

    def _token(self, asked: Asked) -> Response:
        return odd_json(without_gone(self.wechat.tokens(asked.query) | self.tokens))

    def _refresh(self, asked: Asked) -> Response:
        if self.refusal:
            return odd_json({"errcode": self.refusal, "errmsg": "refused, rid: 6"})
        return odd_json(without_gone(self.wechat.refreshed(asked.query) | self.tokens))

    def _userinfo(self, asked: Asked) -> Response:
        return odd_json(without_gone(self.wechat.user(asked.query)))
