"""One account in operation: its token, its ticket, and calls with them."""

from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import orjson

from app.http_client.client import HttpClientError, SafeHttpClient, Unreachable
from app.store.rate_limit import RateLimiter
from app.wechat.access_tokens import Refused, TokenKeeper
from app.wechat.errcodes import DEAD_TOKEN, errcode_of, parse_json
from app.wechat.errors import WeChatProblem, WeChatTimeout
from app.wechat.models import WeChatAccount
from app.wechat.store import TokenStore

MAX_COUNTED = 1000


class Hub:
    """`calls` counts responses by (path, errcode), in this worker."""

    def __init__(
        self,
        name: str,
        account: WeChatAccount,
        http: SafeHttpClient,
        stores: tuple[TokenStore, TokenStore],
        limiter: RateLimiter,
        clock: Callable[[], float],
    ) -> None:
        self.name = name
        self.account = account
        self._http = http
        self.access_token = TokenKeeper(name, stores[0], self._fetch_token, limiter, clock)
        self.jsapi_ticket = TokenKeeper(f"{name} ticket", stores[1], self._fetch_ticket, limiter, clock)
        self.calls: Counter[tuple[str, int]] = Counter()

    def count(self, path: str, errcode: int) -> None:
        if (path, errcode) in self.calls or len(self.calls) < MAX_COUNTED:
            self.calls[path, errcode] += 1

    async def call(self, method: str, path: str, document: Any = None, **query: str) -> dict[str, Any]:
        """A call of the API with a JSON response; a dead token is replaced once. Raises WeChatProblem, NoToken."""
        token = await self.access_token.get()
        answer = await self._ask(method, path, document, {**query, "access_token": token.value})
        if errcode_of(answer) in DEAD_TOKEN:
            token = await self.access_token.replace(token.value)
            answer = await self._ask(method, path, document, {**query, "access_token": token.value})
        self.count(path, errcode_of(answer))
        return answer

    async def close(self) -> None:
        await self.access_token.close()
        await self.jsapi_ticket.close()

    async def _ask(self, method: str, path: str, document: Any, query: dict[str, str]) -> dict[str, Any]:
        url = f"{self.account.base_url}/{path}?{urlencode(query)}"
        content = None if document is None else orjson.dumps(document)
        try:
            response = await self._http.request(method, url, content=content)
        except Unreachable as error:
            raise WeChatTimeout(str(error)) from None
        except HttpClientError as error:
            raise WeChatProblem(str(error)) from None
        answer = parse_json(response.body)
        if response.status != 200 or not answer:
            raise WeChatProblem(f"{method} {path}: {response.status}, no JSON object")
        return answer

    async def _fetch_token(self, force: bool) -> tuple[str, float]:
        account = self.account
        who = {
            "grant_type": "client_credential", "appid": account.appid, "secret": account.secret.get_secret_value()
        }  # fmt: skip
        if account.token_api == "stable":  # noqa: S105  the name of an API
            answer = await self._ask("POST", "cgi-bin/stable_token", who | {"force_refresh": force}, {})
        else:
            answer = await self._ask("GET", "cgi-bin/token", None, who)
        return _value(answer, "access_token")

    async def _fetch_ticket(self, _: bool) -> tuple[str, float]:
        return _value(await self.call("GET", "cgi-bin/ticket/getticket", type="jsapi"), "ticket")


def _value(answer: dict[str, Any], name: str) -> tuple[str, float]:
    """Raises Refused."""
    value, seconds = answer.get(name), answer.get("expires_in")
    if errcode_of(answer) or not isinstance(value, str) or not isinstance(seconds, int):
        raise Refused(errcode_of(answer))
    return value, float(seconds)
