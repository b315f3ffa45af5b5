"""Providers of OAuth 2.0 that consent at once: Discord, Gitee, Feishu, DingTalk, WeCom, each with its own habits."""

import json
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.fakes.noted import Asked, Noted


@dataclass
class FakeOAuth2(Noted):
    """All of them at one address."""

    user: dict[str, Any] = field(default_factory=dict)
    codes: set[str] = field(default_factory=set)

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                *(
                    Route(path, self.noted(self._consent))
                    for path in (
                        "/oauth2/authorize",
                        "/oauth/authorize",
                        "/open-apis/authen/v1/authorize",
                        "/oauth2/auth",
                        "/wwlogin/sso/login",
                        "/connect/oauth2/authorize",
                    )
                ),
                Route("/api/oauth2/token", self.noted(self._form_token), methods=["POST"]),
                Route("/oauth/token", self.noted(self._form_token), methods=["POST"]),
                Route("/open-apis/authen/v2/oauth/token", self._feishu_token, methods=["POST"]),
                Route("/v1.0/oauth2/userAccessToken", self._dingtalk_token, methods=["POST"]),
                Route("/api/users/@me", self.noted(self._bearers_user)),
                Route("/api/v5/user", self.noted(self._bearers_user)),
                Route("/api/v5/emails", self.noted(lambda asked: JSONResponse(self.user.get("emails", [])))),
                Route("/open-apis/authen/v1/user_info", self.noted(self._feishu_user)),
                Route("/v1.0/contact/users/me", self.noted(self._dingtalk_user)),
                Route("/cgi-bin/gettoken", self.noted(self._corp_token)),
                Route("/cgi-bin/auth/getuserinfo", self.noted(self._wecom_code)),
                Route("/cgi-bin/user/get", self.noted(lambda asked: JSONResponse({"errcode": 0} | self.user))),
            ]
        )

    def _consent(self, asked: Asked) -> Response:
        code = secrets.token_hex(8)
        self.codes.add(code)
        name = "authCode" if asked.path == "/oauth2/auth" else "code"
        answer = {name: code, "state": asked.query["state"]}
        return RedirectResponse(f"{asked.query['redirect_uri']}?{urlencode(answer)}")

    def _taken(self, code: str) -> bool:
        known = code in self.codes
        self.codes.discard(code)
        return known

    def _form_token(self, asked: Asked) -> Response:
        if asked.form["client_secret"] != "hush":
            return JSONResponse({"error": "invalid_client"}, 401)
        if not self._taken(asked.form.get("code", "")):
            return JSONResponse({"error": "invalid_grant", "error_description": "the code is used"}, 401)
        return JSONResponse({"access_token": "a-token", "token_type": "bearer", "expires_in": 86400})

    def _bearers_user(self, asked: Asked) -> Response:
        assert asked.headers["authorization"] == "Bearer a-token"
        return JSONResponse(self.user)

    async def _feishu_token(self, request: Request[Any]) -> Response:
        form = json.loads(await request.body())
        assert form["client_secret"] == "hush"
        assert form["code_verifier"]
        if not self._taken(form["code"]):
            return JSONResponse({"code": 20003, "error": "invalid_grant", "error_description": "used"}, 400)
        return JSONResponse({"code": 0, "access_token": "a-token", "token_type": "Bearer", "expires_in": 7200})

    def _feishu_user(self, asked: Asked) -> Response:
        assert asked.headers["authorization"] == "Bearer a-token"
        return JSONResponse({"code": 0, "msg": "success", "data": self.user})

    async def _dingtalk_token(self, request: Request[Any]) -> Response:
        form = json.loads(await request.body())
        assert (form["clientSecret"], form["grantType"]) == ("hush", "authorization_code")
        if not self._taken(form["code"]):
            said = {"code": "invalidParameter.authCode.notFound", "message": "no such code", "requestid": "1"}
            return JSONResponse(said, 400)
        return JSONResponse({"accessToken": "a-token", "refreshToken": "r", "expireIn": 7200, "corpId": "ding1"})

    def _dingtalk_user(self, asked: Asked) -> Response:
        assert asked.headers["x-acs-dingtalk-access-token"] == "a-token"
        return JSONResponse(self.user)

    def _corp_token(self, asked: Asked) -> Response:
        if asked.query["corpsecret"] != "hush":
            return JSONResponse({"errcode": 40001, "errmsg": "invalid credential"})
        return JSONResponse({"errcode": 0, "errmsg": "ok", "access_token": "corp-token", "expires_in": 7200})

    def _wecom_code(self, asked: Asked) -> Response:
        assert asked.query["access_token"] == "corp-token"
        if not self._taken(asked.query["code"]):
            return JSONResponse({"errcode": 40029, "errmsg": "invalid code"})
        return JSONResponse(
            {"errcode": 0} | {name: self.user[name] for name in ("userid", "openid") if name in self.user}
        )
