"""The yardstick: the least that uvicorn can be asked to do."""

from typing import Any

HEAD = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/plain"), (b"content-length", b"13")],
}
BODY = {"type": "http.response.body", "body": b"Hello, world!"}


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer whatever is asked with thirteen bytes."""
    await send(HEAD)
    await send(BODY)
