"""The API of the WeChat for development: tokens that throw each other out, quotas, errors on demand, media."""

import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

Document = dict[str, Any]
LIFETIME, OVERLAP = 7200, 300


@dataclass
class WeChatApi:
    """`errors` are errcodes to answer next, by path; `html` paths answer a page. Both token families are one here."""

    apps: Mapping[str, str]
    clock: Callable[[], float] = time.time
    errors: dict[str, list[int]] = field(default_factory=dict)
    html: set[str] = field(default_factory=set)
    asked: list[tuple[str, Document]] = field(default_factory=list)
    cookies: list[str] = field(default_factory=list)
    bytes_received: int = 0
    _tokens: dict[str, tuple[str, float]] = field(default_factory=dict)
    _stable: dict[str, tuple[str, float]] = field(default_factory=dict)

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/cgi-bin/token", self._token),
                Route("/cgi-bin/stable_token", self._stable_token, methods=["POST"]),
                Route("/cgi-bin/media/upload", self._upload, methods=["POST"]),
                Route("/cgi-bin/media/get", self._download),
                Route("/{path:path}", self._call, methods=["GET", "POST"]),
            ]
        )

    def expire(self) -> None:
        """Every token is dead; the stable API goes on telling the dead one."""
        self._tokens.clear()

    def count(self, path: str) -> int:
        return sum(asked == path for asked, _ in self.asked)

    def _new(self, appid: str) -> str:
        """A new token; older ones live for OVERLAP more seconds."""
        now = self.clock()
        for token, (owner, ends) in self._tokens.items():
            if owner == appid:
                self._tokens[token] = (owner, min(ends, now + OVERLAP))
        token = secrets.token_urlsafe(48)
        self._tokens[token] = (appid, now + LIFETIME)
        return token

    def _token(self, request: Request[Any]) -> Response:
        query = dict(request.query_params)
        return self._given("/cgi-bin/token", query, lambda: (self._new(query["appid"]), LIFETIME))

    async def _stable_token(self, request: Request[Any]) -> Response:
        body = await request.json()

        def give() -> tuple[str, int]:
            token, ends = self._stable.get(body["appid"], ("", 0.0))
            if ends - self.clock() <= OVERLAP or body.get("force_refresh"):
                token, ends = self._new(body["appid"]), self.clock() + LIFETIME
                self._stable[body["appid"]] = (token, ends)
            return token, int(ends - self.clock())

        return self._given("/cgi-bin/stable_token", body, give)

    def _given(self, path: str, who: Document, give: Callable[[], tuple[str, int]]) -> Response:
        self.asked.append((path, who))
        if code := self._error(path):
            return _text({"errcode": code, "errmsg": "on demand"})
        if who.get("secret") != self.apps.get(str(who.get("appid"))):
            return _text({"errcode": 40125, "errmsg": "invalid appsecret"})
        token, seconds = give()
        return _text({"access_token": token, "expires_in": seconds})

    def _error(self, path: str) -> int:
        waiting = self.errors.get(path, [])
        return waiting.pop(0) if waiting else 0

    def _refusal(self, request: Request[Any]) -> Response | None:
        path, query = request.url.path, dict(request.query_params)
        self.asked.append((path, query))
        self.cookies.append(request.headers.get("cookie", ""))
        if path in self.html:
            return HTMLResponse("<!DOCTYPE html><p>busy")
        if code := self._error(path):
            return _text({"errcode": code, "errmsg": "on demand"})
        _, ends = self._tokens.get(query.get("access_token", ""), ("", 0.0))
        if ends <= self.clock():
            return _text({"errcode": 40001, "errmsg": "invalid credential, access_token is invalid"})
        return None

    async def _upload(self, request: Request[Any]) -> Response:
        async for piece in request.stream():
            self.bytes_received += len(piece)
        return self._refusal(request) or _text({"type": "image", "media_id": "m1", "created_at": 1})

    def _download(self, request: Request[Any]) -> Response:
        return self._refusal(request) or Response(b"\xff\xd8" + b"x" * 300_000, media_type="image/jpeg")

    async def _call(self, request: Request[Any]) -> Response:
        body = (await request.body()).decode()
        answer = {"errcode": 0, "errmsg": "ok", "path": request.url.path, "body": body}
        if request.url.path == "/cgi-bin/user/info":
            answer = {"subscribe": 1, "openid": request.query_params.get("openid", ""), "nickname": "张三"}
        if request.url.path == "/cgi-bin/tags/create":
            answer |= {"tag": {"id": 134, "name": "friends"}}
        if request.url.path == "/cgi-bin/ticket/getticket":
            answer |= {"ticket": secrets.token_urlsafe(48), "expires_in": LIFETIME}
        response = self._refusal(request) or _text(answer)
        response.set_cookie("wechat", secrets.token_hex(4))
        return response


def _text(document: Document) -> PlainTextResponse:
    return PlainTextResponse(json.dumps(document, ensure_ascii=False))
