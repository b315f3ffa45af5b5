"""Calls of WeChat's API: with JSON responses, and with a token that is replaced when it is invalid."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import urlencode

import orjson

from app.http_client.client import HttpClientError, SafeHttpClient, TimedOut
from app.web.i18n import N_
from app.wechat.access_tokens import Refused, TokenCache
from app.wechat.errcodes import BUSY, DEAD_TOKEN, errcode_of, parse_json
from app.wechat.errors import NoToken, WeChatProblem, WeChatTimeout

BUSY_WAITS = (0.25, 0.5, 1.0, 2.0)
"""Seconds before each repeat of a GET whose errcode was -1 (busy)."""
BUSY_DEADLINE = 6.0
"""Seconds after the first attempt until which a repeat may begin."""
R = TypeVar("R")


class WeChatApi:
    """Calls of WeChat's API with JSON responses."""

    def __init__(self, http: SafeHttpClient, url: str) -> None:
        self._http = http
        self._url = url

    async def ask(self, method: str, path: str, document: Any, query: dict[str, str]) -> dict[str, Any]:
        """Raises WeChatProblem, WeChatTimeout; the texts hold no query."""
        url = f"{self._url}/{path}?{urlencode(query)}"
        content = None if document is None else orjson.dumps(document)
        try:
            response = await self._http.request(method, url, content=content)
        except TimedOut:
            raise WeChatTimeout(N_("WeChat does not answer in time.")) from None
        except HttpClientError:
            raise WeChatProblem(N_("WeChat cannot be reached, or its response is not usable.")) from None
        answer = parse_json(response.body)
        if response.status != 200 or not answer:
            raise WeChatProblem(N_("WeChat's response is not usable."))
        return answer


async def with_token(
    cache: TokenCache,
    ask: Callable[[str], Awaitable[R]],
    code: Callable[[R], int],
    *,
    reads: bool,
    repeatable: bool = True,
) -> R:
    """Calls with the cached token. Replaces an invalid token, and repeats a `repeatable` call, once. Repeats a call
    that `reads` while WeChat is busy. Without another token it returns the answer as it is. Raises NoToken.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + BUSY_DEADLINE
    waits = list(BUSY_WAITS) if reads else []
    token, replaced = await cache.get(), False
    answer = await ask(token.value)
    while True:
        if code(answer) in DEAD_TOKEN and not replaced:
            try:
                token, replaced = await cache.replace(token.value), True
            except NoToken as problem:
                if problem.errcode:
                    raise
                return answer
            if not repeatable:
                return answer
        elif code(answer) == BUSY and waits and loop.time() + waits[0] < deadline:
            await asyncio.sleep(waits.pop(0))
        else:
            return answer
        answer = await ask(token.value)


def good(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer, if it has no errcode. Raises WeChatProblem."""
    if code := errcode_of(answer):
        raise WeChatProblem(N_("WeChat refuses the call."), errcode=code)
    return answer


def token_of(answer: dict[str, Any], name: str) -> tuple[str, float]:
    """(the token in a response, its lifetime in seconds). Raises Refused."""
    value, seconds = answer.get(name), str(answer.get("expires_in"))
    if errcode_of(answer) or not isinstance(value, str) or not value or not seconds.isdecimal():
        raise Refused(errcode_of(answer))
    return value, float(seconds)
