"""The WeChat for development as a whole, with a page to press: push a message, expire the tokens, answer -1."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.templating import Jinja2Templates

from dev.wechat.api import ANY, WeChatApi
from dev.wechat.platform import Platform
from dev.wechat.pushes import Receiver, message, push
from dev.wechat.sign_in import SignIn

PAGE = "/simulator"


class Simulator:
    """`accounts` hold the secret of each appid; `receivers` get pushed messages, by the account's name here."""

    def __init__(
        self,
        sign_in: Mapping[str, str],
        access_token_seconds: int = 7200,
        accounts: Mapping[str, str] = MappingProxyType({}),
        receivers: Mapping[str, Receiver] = MappingProxyType({}),
        platforms: Sequence[tuple[Receiver, str]] = (),
    ) -> None:
        self.api = WeChatApi(accounts)
        self.platforms = [Platform(receiver, secret, self.api) for receiver, secret in platforms]
        self._receivers = receivers
        self._sign_in = SignIn(dict(sign_in) | dict(accounts), access_token_seconds, self.platforms)
        self._templates = Jinja2Templates(Path(__file__).parent)

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/", lambda _: RedirectResponse(PAGE)),
                Route(PAGE, self._page),
                Route(PAGE, self._press, methods=["POST"]),
                *self._sign_in.routes(),
                *(route for platform in self.platforms[:1] for route in platform.routes()),
                *self.api.routes(),
            ]
        )

    async def _page(self, request: Request[Any], said: str = "") -> Response:
        context = {
            "said": said, "receivers": self._receivers, "platforms": self.platforms,
            "asked": [path for path, _ in list(self.api.asked)[-20:]][::-1],
        }  # fmt: skip
        return self._templates.TemplateResponse(request, "simulator.html", context)

    async def _press(self, request: Request[Any]) -> Response:
        async with request.form() as form:
            action, name, content = (str(form.get(field, "")) for field in ("action", "account", "content"))
        return await self._page(request, await self._done(action, name, content))

    async def _done(self, action: str, name: str, content: str) -> str:
        """What came of it."""
        now = time.time()
        match action:
            case "text" | "event" if name in self._receivers:
                fields = {"Content": content} if action == "text" else {"Event": "SCAN", "EventKey": content}
                return await push(self._receivers[name], message(action, now, **fields), now)
            case "expire":
                self.api.expire()
                return "every token is dead"
            case "busy":
                self.api.errors.setdefault(ANY, []).append(-1)
                return "the next call is answered -1"
            case "ticket" if self.platforms:
                return await self.platforms[0].push_ticket()
            case "unauthorize" if self.platforms:
                return await self.platforms[0].unauthorize(name)
        return "there is no such action"
