"""Sign-in of the WeChat for development: a page stands for the code to scan, and asks who scans it.

Its answers are those of the real one: JSON called text/plain, with status 200 for errors, too.
"""

import hashlib
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.templating import Jinja2Templates

from dev.wechat.platform import ACCOUNTS, Platform

PARAMETERS = ("appid", "redirect_uri", "response_type", "scope", "state")
"""In this order: WeChat insists."""
SCOPES = {"/connect/qrconnect": "snsapi_login", "/connect/oauth2/authorize": "snsapi_userinfo"}
"""Of the page with the code, and of the one that is shown inside WeChat."""
PEOPLE = ("张三", "李四", "Ana 🌸")
LONGEST_STATE = 128
Document = dict[str, Any]
UNKNOWN: Document = {"errcode": 40001, "errmsg": "invalid credential, rid: 4"}


class WeChat:
    """Codes, tokens and users. `apps` holds the secret of each appid; access tokens are said to last some seconds."""

    def __init__(self, apps: Mapping[str, str], access_token_seconds: int = 7200) -> None:
        self._apps = apps
        self._seconds = access_token_seconds
        self._granted: dict[str, tuple[str, Document]] = {}
        self._refreshable: dict[str, tuple[str, Document]] = {}
        self._used: set[str] = set()
        self._users: dict[str, Document] = {}

    def mistake(self, path: str, query: Mapping[str, str]) -> str | None:
        """What is wrong with the way to WeChat's page."""
        if tuple(query) not in {PARAMETERS, (*PARAMETERS, "component_appid")}:
            return f"the parameters must be {', '.join(PARAMETERS)}, in this order"
        if query["appid"] not in (ACCOUNTS if "component_appid" in query else self._apps):
            return "appid: there is no such app"
        if query["response_type"] != "code" or query["scope"] != SCOPES[path]:
            return f"response_type must be code, and scope {SCOPES[path]}"
        if not query["state"].isalnum() or len(query["state"]) > LONGEST_STATE:
            return f"state: {LONGEST_STATE} letters and digits at most"
        return None

    def code(self, appid: str, user: Document) -> str:
        """That the user has agreed; good once."""
        code = secrets.token_hex(16)
        self._granted[code] = (appid, user)
        return code

    def tokens(self, query: Mapping[str, str]) -> Document:
        """The answer of /sns/oauth2/access_token."""
        if query.get("secret") != self._apps.get(query.get("appid", "")):
            return {"errcode": 40125, "errmsg": "invalid appsecret, rid: 1"}
        return self.exchanged(query)

    def exchanged(self, query: Mapping[str, str]) -> Document:
        """The answer to somebody who has proved to be the app."""
        appid, code = query.get("appid", ""), query.get("code", "")
        if code in self._used:
            return {"errcode": 40163, "errmsg": "code been used, rid: 2"}
        granted_to, user = self._granted.get(code, ("", {}))
        if granted_to != appid:
            return {"errcode": 40029, "errmsg": "invalid code, rid: 3"}
        self._used.add(code)
        refresh_token = secrets.token_urlsafe(48)
        self._refreshable[refresh_token] = (appid, user)
        return self._tokens(user, refresh_token)

    def refreshed(self, query: Mapping[str, str]) -> Document:
        """The answer of /sns/oauth2/refresh_token."""
        refresh_token = query.get("refresh_token", "")
        appid, user = self._refreshable.get(refresh_token, ("", {}))
        if query.get("appid") != appid or query.get("grant_type") != "refresh_token":
            return {"errcode": 40030, "errmsg": "invalid refresh_token, rid: 5"}
        return self._tokens(user, refresh_token)

    def _tokens(self, user: Document, refresh_token: str) -> Document:
        access_token = secrets.token_urlsafe(48)
        self._users[access_token] = user
        return {
            "access_token": access_token,
            "expires_in": self._seconds,
            "refresh_token": refresh_token,
            "openid": user["openid"],
            "scope": "snsapi_login",
        }

    def user(self, query: Mapping[str, str]) -> Document:
        """The answer of /sns/userinfo."""
        return self._users.get(query.get("access_token", ""), UNKNOWN)


class SignIn:
    """WeChat's pages and its API of sign-in. A platform signs in on behalf of the accounts that consented."""

    def __init__(
        self, apps: Mapping[str, str], access_token_seconds: int = 7200, platforms: Sequence[Platform] = ()
    ) -> None:
        self._wechat = WeChat(apps, access_token_seconds)
        self._platforms = {platform.receiver.appid: platform for platform in platforms}
        self._templates = Jinja2Templates(Path(__file__).parent)

    def routes(self) -> list[BaseRoute]:
        return [
            *(Route(path, self._ask) for path in SCOPES),
            Route("/connect/answer", self._answer, methods=["POST"]),
            Route("/sns/oauth2/access_token", _answering(self._wechat.tokens)),
            Route("/sns/oauth2/refresh_token", _answering(self._wechat.refreshed)),
            Route("/sns/oauth2/component/access_token", _answering(self._component_tokens)),
            Route("/sns/oauth2/component/refresh_token", _answering(self._component_refreshed)),
            Route("/sns/userinfo", _answering(self._wechat.user)),
        ]

    def _component_tokens(self, query: Mapping[str, str]) -> Document:
        return self._wechat.exchanged(query) if self._component(query) else UNKNOWN

    def _component_refreshed(self, query: Mapping[str, str]) -> Document:
        return self._wechat.refreshed(query) if self._component(query) else UNKNOWN

    def _component(self, query: Mapping[str, str]) -> bool:
        platform = self._platforms.get(query.get("component_appid", ""))
        return platform is not None and platform.knows_token(query.get("component_access_token", ""))

    def _ask(self, request: Request[Any]) -> Response:
        query = dict(request.query_params)
        mistake = self._wechat.mistake(request.url.path, query)
        context = {"query": query, "mistake": mistake, "people": PEOPLE, "code": request.url.path.endswith("qrconnect")}
        return self._templates.TemplateResponse(request, "sign_in.html", context, 400 if mistake else 200)

    async def _answer(self, request: Request[Any]) -> Response:
        """Back to the service with a code, or with what the real one sends when somebody refuses."""
        async with request.form() as form:
            appid, redirect_uri, state = (str(form[name]) for name in ("appid", "redirect_uri", "state"))
            name = str(form.get("who", ""))
        code = self._wechat.code(appid, person(name, appid)) if name else "authdeny"
        return RedirectResponse(f"{redirect_uri}?{urlencode({'code': code, 'state': state})}", 302)


def _answering(answer: Callable[[Mapping[str, str]], Document]) -> Callable[[Request[Any]], Response]:
    return lambda request: odd_json(answer(request.query_params))


def person(name: str, appid: str) -> Document:
    """A user as /sns/userinfo tells: the openid is of one app, the unionid the same for all."""
    return {
        "openid": f"o{_digest(appid + name)}",
        "nickname": name,
        "sex": 0,
        "province": "",
        "city": "",
        "country": "",
        "headimgurl": "",
        "privilege": [],
        "unionid": f"o{_digest(name)}",
    }


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:27]


def odd_json(document: Document) -> Response:
    """UTF-8, control characters and all, as text/plain without a charset."""
    body = json.dumps(document, ensure_ascii=False).replace("\\u0007", "\x07").encode()
    response = PlainTextResponse(body)
    response.headers["content-type"] = "text/plain"
    return response
