"""The API of the WeChat for development: tokens that throw each other out, quotas, errors on demand, media."""

import json
import secrets
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

Document = dict[str, Any]
LIFETIME, OVERLAP = 7200, 300
"""Seconds that a token lives, and that it lives on once there is a newer one."""
ANY = "*"
TOKENS_A_DAY, FORCED_A_DAY, FORCED_APART = 2000, 20, 30


@dataclass(frozen=True, slots=True)
class Token:
    appid: str
    family: str
    ends: float


@dataclass
class WeChatApi:
    """`errors` are errcodes to answer next, by path or ANY; `html` paths answer a page; `quotas` are calls a day."""

    apps: Mapping[str, str]
    clock: Callable[[], float] = time.time
    errors: dict[str, list[int]] = field(default_factory=dict)
    html: set[str] = field(default_factory=set)
    quotas: dict[str, int] = field(default_factory=dict)
    asked: deque[tuple[str, Document]] = field(default_factory=lambda: deque(maxlen=10_000))
    cookies: deque[str] = field(default_factory=lambda: deque(maxlen=10_000))
    bytes_received: int = 0
    tokens: dict[str, Token] = field(default_factory=dict)
    _stable: dict[str, tuple[str, float]] = field(default_factory=dict)
    _forced: dict[str, float] = field(default_factory=dict)
    _counts: Counter[tuple[str, int]] = field(default_factory=Counter)

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/cgi-bin/token", self._token),
            Route("/cgi-bin/stable_token", self._stable_token, methods=["POST"]),
            Route("/cgi-bin/media/upload", self._upload, methods=["POST"]),
            Route("/cgi-bin/media/get", self._download),
            *(
                Route(f"/{part}/{{path:path}}", self._call, methods=["GET", "POST"])
                for part in ("cgi-bin", "wxa", "sns")
            ),
        ]

    def app(self) -> Starlette:
        return Starlette(routes=self.routes())

    def expire(self) -> None:
        """Every token is dead; the stable API goes on telling the dead one."""
        self.tokens.clear()

    def count(self, path: str) -> int:
        return sum(asked == path for asked, _ in self.asked)

    def new_token(self, appid: str, family: str) -> str:
        """A new token. Older ones of the same family live for OVERLAP more seconds; families are independent."""
        now = self.clock()
        for old, token in list(self.tokens.items()):
            ends = min(token.ends, now + OVERLAP) if (token.appid, token.family) == (appid, family) else token.ends
            self.tokens[old] = Token(token.appid, token.family, ends)
            if ends <= now:
                del self.tokens[old]
        value = secrets.token_urlsafe(48)
        self.tokens[value] = Token(appid, family, now + LIFETIME)
        return value

    def over(self, name: str, most: int) -> bool:
        """Counts a call; whether there were more than that today."""
        today = (name, int(self.clock() // 86_400))
        self._counts[today] += 1
        return self._counts[today] > most

    def _token(self, request: Request[Any]) -> Response:
        query = dict(request.query_params)
        if refusal := self._refused("/cgi-bin/token", query):
            return refusal
        if self.over(f"token {query['appid']}", TOKENS_A_DAY):
            return text(_error(45009))
        return text({"access_token": self.new_token(query["appid"], "classic"), "expires_in": LIFETIME})

    async def _stable_token(self, request: Request[Any]) -> Response:
        body = await request.json()
        if refusal := self._refused("/cgi-bin/stable_token", body):
            return refusal
        appid, now = body["appid"], self.clock()
        if body.get("force_refresh"):
            if now - self._forced.get(appid, -FORCED_APART) < FORCED_APART:
                return text(_error(45011))
            if self.over(f"forced {appid}", FORCED_A_DAY):
                return text(_error(45009))
            self._forced[appid] = now
        token, ends = self._stable.get(appid, ("", 0.0))
        if ends - now <= OVERLAP or body.get("force_refresh"):
            token, ends = self.new_token(appid, "stable"), now + LIFETIME
            self._stable[appid] = (token, ends)
        return text({"access_token": token, "expires_in": int(ends - now)})

    def _refused(self, path: str, who: Document) -> Response | None:
        self.asked.append((path, who))
        if code := self.next_error(path):
            return text(_error(code))
        if who.get("secret") != self.apps.get(str(who.get("appid"))):
            return text(_error(40125))
        return None

    def next_error(self, path: str) -> int:
        for name in (path, ANY):
            if self.errors.get(name):
                return self.errors[name].pop(0)
        return 45009 if path in self.quotas and self.over(path, self.quotas[path]) else 0

    def _refusal(self, request: Request[Any]) -> Response | None:
        path, query = request.url.path, dict(request.query_params)
        self.asked.append((path, query))
        self.cookies.append(request.headers.get("cookie", ""))
        if path in self.html:
            return HTMLResponse("<!DOCTYPE html><p>busy")
        if code := self.next_error(path):
            return text(_error(code))
        token = self.tokens.get(query.get("access_token", ""))
        if token is None or token.ends <= self.clock():
            return text(_error(40001))
        return None

    async def _upload(self, request: Request[Any]) -> Response:
        async for piece in request.stream():
            self.bytes_received += len(piece)
        return self._refusal(request) or text({"type": "image", "media_id": "m1", "created_at": 1})

    def _download(self, request: Request[Any]) -> Response:
        return self._refusal(request) or Response(b"\xff\xd8" + b"x" * 300_000, media_type="image/jpeg")

    async def _call(self, request: Request[Any]) -> Response:
        body = (await request.body()).decode("utf-8", "replace")
        response = self._refusal(request) or text(self._answer(request, body))
        response.set_cookie("wechat", secrets.token_hex(4))
        return response

    def _answer(self, request: Request[Any], body: str) -> Document:
        answer = {"errcode": 0, "errmsg": "ok", "path": request.url.path, "body": body}
        match request.url.path:
            case "/cgi-bin/user/info":
                return {"subscribe": 1, "openid": request.query_params.get("openid", ""), "nickname": "张三"}
            case "/cgi-bin/user/get":
                return {"total": 1, "count": 1, "data": {"openid": ["o1"]}, "next_openid": ""}
            case "/cgi-bin/tags/create":
                return answer | {"tag": {"id": 134, "name": "friends"}}
            case "/cgi-bin/tags/get":
                return {"tags": [{"id": 134, "name": "friends", "count": 1}]}
            case "/cgi-bin/ticket/getticket":
                return answer | {"ticket": secrets.token_urlsafe(48), "expires_in": LIFETIME}
        return answer


def _error(code: int) -> Document:
    return {"errcode": code, "errmsg": "on demand"}


def text(document: Document) -> PlainTextResponse:
    return PlainTextResponse(json.dumps(document, ensure_ascii=False))
