"""The open platform of the WeChat for development: component tokens, consent, authorised accounts."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.templating import Jinja2Templates

from dev.wechat.api import LIFETIME, Document, WeChatApi, text
from dev.wechat.pushes import Receiver, notice, push

ACCOUNTS = ("wx-authorized", "wx-second")
"""Appids of accounts whose owners may consent."""
COMPONENT = "/cgi-bin/component"


@dataclass
class Platform:
    """One third-party platform. `authorizations` hold the refresh token of each account that has consented."""

    receiver: Receiver
    secret: str
    api: WeChatApi
    clock: Callable[[], float] = time.time
    ticket: str = ""
    authorizations: dict[str, str] = field(default_factory=dict)
    _codes: dict[str, str] = field(default_factory=dict)
    _pre_auth_codes: set[str] = field(default_factory=set)
    _templates: Jinja2Templates = field(default_factory=lambda: Jinja2Templates(Path(__file__).parent))

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/cgi-bin/componentloginpage", self._page),
            Route("/cgi-bin/componentloginpage", self._consent, methods=["POST"]),
            Route(f"{COMPONENT}/{{call}}", self._call, methods=["POST"]),
        ]

    async def push_ticket(self) -> str:
        self.ticket = f"ticket@@@{secrets.token_urlsafe(24)}"
        return await self.push("component_verify_ticket", ComponentVerifyTicket=self.ticket)

    async def push(self, kind: str, **fields: str) -> str:
        now = self.clock()
        return await push(self.receiver, notice(self.receiver.appid, kind, now, **fields), now)

    async def unauthorize(self, appid: str) -> str:
        self.authorizations.pop(appid, None)
        return await self.push("unauthorized", AuthorizerAppid=appid)

    def consent(self, appid: str) -> str:
        """The authorization code of an account whose owner agrees."""
        code = f"queryauthcode@@@{secrets.token_urlsafe(24)}"
        self._codes[code] = appid
        return code

    def knows_token(self, value: str) -> bool:
        token = self.api.tokens.get(value)
        return token is not None and token.family == "component" and token.ends > self.clock()

    def _page(self, request: Request[Any]) -> Response:
        query = dict(request.query_params)
        mistake = None
        if query.get("component_appid") != self.receiver.appid:
            mistake = "component_appid: there is no such platform"
        elif query.get("pre_auth_code") not in self._pre_auth_codes:
            mistake = "pre_auth_code: is unknown"
        elif not request.headers.get("referer"):
            mistake = "Referer: come from a link on a page of the registered domain"
        context = {"query": query, "mistake": mistake, "accounts": ACCOUNTS}
        return self._templates.TemplateResponse(request, "consent.html", context, 400 if mistake else 200)

    async def _consent(self, request: Request[Any]) -> Response:
        """Back with a code; the same one is pushed."""
        async with request.form() as form:
            appid, redirect_uri = str(form["account"]), str(form["redirect_uri"])
        code = self.consent(appid)
        joint = "&" if "?" in redirect_uri else "?"
        url = f"{redirect_uri}{joint}{urlencode({'auth_code': code, 'expires_in': 600})}"
        told = BackgroundTask(self.push, "authorized", AuthorizerAppid=appid, AuthorizationCode=code)
        return RedirectResponse(url, 302, background=told)

    async def _call(self, request: Request[Any]) -> Response:
        call, body = request.path_params["call"], await request.json()
        self.api.asked.append((request.url.path, body))
        if code := self.api.next_error(request.url.path):
            return text({"errcode": code, "errmsg": "on demand"})
        if body.get("component_appid") != self.receiver.appid:
            return text({"errcode": 40013, "errmsg": "invalid appid"})
        if call == "api_component_token":
            return text(self._token(body))
        if not self.knows_token(request.query_params.get("component_access_token", "")):
            return text({"errcode": 40001, "errmsg": "invalid credential"})
        match call:
            case "api_create_preauthcode":
                self._pre_auth_codes.add(made := secrets.token_urlsafe(16))
                return text({"pre_auth_code": made, "expires_in": 1800})
            case "api_query_auth":
                return text(self._exchange(body))
            case "api_authorizer_token":
                return text(self._refresh(body))
        return text({"errcode": 0, "errmsg": "ok"})

    def _token(self, body: Document) -> Document:
        if body.get("component_appsecret") != self.secret:
            return {"errcode": 40125, "errmsg": "invalid appsecret"}
        if not self.ticket or body.get("component_verify_ticket") != self.ticket:
            return {"errcode": 61006, "errmsg": "component ticket is invalid"}
        token = self.api.new_token(self.receiver.appid, "component")
        return {"component_access_token": token, "expires_in": LIFETIME}

    def _exchange(self, body: Document) -> Document:
        appid = self._codes.pop(str(body.get("authorization_code")), None)
        if appid is None:
            return {"errcode": 61010, "errmsg": "code is expired"}
        func_info = [{"funcscope_category": {"id": 1}}, {"funcscope_category": {"id": 4}}]
        return {"authorization_info": {"authorizer_appid": appid, "func_info": func_info, **self._tokens(appid)}}

    def _refresh(self, body: Document) -> Document:
        appid, given = str(body.get("authorizer_appid")), body.get("authorizer_refresh_token")
        if appid not in self.authorizations:
            return {"errcode": 61007, "errmsg": "api is unauthorized to component"}
        if self.authorizations[appid] != given:
            return {"errcode": 61023, "errmsg": "refresh_token is invalid"}
        return self._tokens(appid)

    def _tokens(self, appid: str) -> Document:
        """A new pair; the former refresh token is dead."""
        self.authorizations[appid] = f"refreshtoken@@@{secrets.token_urlsafe(24)}"
        return {
            "authorizer_access_token": self.api.new_token(appid, "authorizer"),
            "expires_in": LIFETIME,
            "authorizer_refresh_token": self.authorizations[appid],
        }
