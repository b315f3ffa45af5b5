"""The real Tornado, as a site that was here before us."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler


class SignIn(RequestHandler):
    """Remembers who has signed in the way that Tornado's guide shows."""

    def get(self) -> None:
        self.set_signed_cookie("user", self.get_argument("value"))
        self.write("Welcome")


@asynccontextmanager
async def real_tornado(secret: str) -> AsyncIterator[str]:
    """The site's address, for as long as it runs in this process."""
    server = HTTPServer(Application([("/sign-in", SignIn)], cookie_secret=secret))
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    yield f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    server.stop()
    await server.close_all_connections()


async def tornado_cookie(secret: str, value: str) -> str:
    """The cookie's value, with its quotation marks, as a browser keeps it."""
    async with real_tornado(secret) as url, httpx.AsyncClient(trust_env=False) as browser:
        answer = await browser.get(f"{url}/sign-in", params={"value": value})
    return answer.headers["set-cookie"].partition("; ")[0].removeprefix("user=")
