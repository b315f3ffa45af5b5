# mypy: disable-error-code="import-not-found,misc"
"""The visit counter in Tornado."""

import asyncio
import os
import sys

import redis.asyncio
from tornado.web import Application, RequestHandler

store = redis.asyncio.Redis.from_url(os.environ["REDIS_URL"])


class Count(RequestHandler):
    """The counted page."""

    async def get(self) -> None:
        """Count a visit and tell its number."""
        visits = await store.incr("tornado-visits")
        self.write(f"This page has been visited {visits} times")


async def serve(port: int) -> None:
    """Listen on the loopback until killed."""
    Application([("/", Count)]).listen(port, "127.0.0.1")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
