"""The proxy of WeChat's API: `/wechat/{account}/<path>` with a service's token in place of the access token."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app.accounts.services.services import Service, WeChatGrant
from app.http_client.client import HttpClientError, TimedOut
from app.http_client.streaming import StreamedResponse
from app.store.client import StoreUnavailable
from app.web.errors import BadRequest, NotFound, Problem, SignInRequired, TooLarge, problem_json, problem_of
from app.web.i18n import N_
from app.web.responses import json_response
from app.wechat.api_calls import with_token
from app.wechat.api_paths import TICKET, is_safe
from app.wechat.errcodes import errcode_of, may_be_object, parse_json
from app.wechat.errors import WeChatProblem, WeChatTimeout
from app.wechat.grants import check_grant, grant_of
from app.wechat.hub import Hub
from app.wechat.lifespan import WeChatState

MAX_REPEATED_BODY = 64 * 1024
"""Bytes up to which a body is buffered: to repeat a request, or to find an errcode."""
MAX_JSON_BODY = 1024 * 1024
"""Bytes of a JSON object in a request. It is always buffered, to refuse one that holds credentials."""
Body = bytes | AsyncIterator[bytes]
TOKEN = "access_token"  # noqa: S105  a field's name
TOKEN_PATHS = frozenset({"cgi-bin/token", "cgi-bin/stable_token"})
SECRETS = frozenset({"secret", "appsecret", "component_access_token", "component_appsecret"})
CREDENTIALS = SECRETS | {TOKEN}
PART_NAME = re.compile(rb"""[;\s]name\*?\s*=\s*(?:utf-8'')?["']?([a-z_]+)""", re.IGNORECASE)
"""The name of a part of a multipart body, in any spelling that a server may accept."""
FORWARDED_REQUEST_HEADERS = ("content-type", "content-length", "accept")
FORWARDED_RESPONSE_HEADERS = ("content-type", "content-length", "content-encoding", "content-disposition")
NO_STORE = {"Cache-Control": "no-store"}


class ProxiedResponse(NamedTuple):
    """A response for the caller, and its errcode."""

    response: Response
    errcode: int


async def proxy(request: Request[WeChatState]) -> Response:
    """Any method of `/wechat/{account}/{path}`; problems are JSON."""
    try:
        return await _respond(request)
    except (Problem, StoreUnavailable) as error:
        problem = problem_of(error)
        return problem_json(problem, request.scope["state"]["request_id"], problem.title, problem.detail)


async def _respond(request: Request[WeChatState]) -> Response:
    path = request.path_params["path"]
    raw_path = request.scope.get("raw_path", b"").partition(b"?")[0].decode("latin-1")
    if not is_safe(path) or not raw_path.endswith(f"/{path}"):
        raise BadRequest(N_("path: must be a plain path of the API"), field="path")
    query = parse_qsl(request.scope["query_string"].decode("utf-8", "replace"), keep_blank_values=True)
    body, beginning = await _body(request)
    service, query = await _service(request, path, query, beginning)
    name = request.path_params["account"]
    grant = grant_of(service, name)
    hub = await request.state["wechat"].get(name)
    if hub is None:
        raise NotFound
    if path in TOKEN_PATHS:
        return await _own_token(hub, grant, request, query, beginning)
    await check_grant(request, service, hub, path, request.method)
    if path == TICKET:
        return await _own_ticket(request, hub, query)
    return await _forward(request, hub, path, query, body)


async def _body(request: Request[Any]) -> tuple[Body, bytes]:
    """(the body, its beginning): whole if it is small or a JSON object, else as a stream. Raises TooLarge."""
    chunks, first = request.stream(), b""
    async for data in chunks:
        first += data
        if len(first) > MAX_REPEATED_BODY and not may_be_object(first):
            return _joined(first, chunks), first
        if len(first) > MAX_JSON_BODY:
            raise TooLarge
    return first, first


async def _joined(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


async def _service(
    request: Request[WeChatState], path: str, query: list[tuple[str, str]], beginning: bytes
) -> tuple[Service, list[tuple[str, str]]]:
    """(the calling service, the query without credentials). Raises SignInRequired, BadRequest."""
    in_query = [(name.strip().lower(), value) for name, value in query]
    in_body = _credentials(request.headers.get("content-type", ""), beginning)
    given = [value for name, value in in_query if name == TOKEN]
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        given.append(bearer.strip())
    if path in TOKEN_PATHS:
        given += [value for name, value in in_query if name in SECRETS] + [value for _, value in in_body]
    elif in_body:
        raise BadRequest(N_("body: a token or secret cannot be passed on"), field=in_body[0][0])
    elif any(name in SECRETS for name, _ in in_query):
        raise BadRequest(N_("secret: a secret cannot be passed on"), field="secret")
    if any(not value.startswith("tgs_") for value in given):
        raise BadRequest(N_("access_token: must be the service's token"), field=TOKEN)
    if not given or len(set(given)) > 1:
        raise SignInRequired
    service = await request.state["services"].authenticate(given[0])
    if service is None:
        raise SignInRequired
    request.scope["wechat.secret"] = given[0]
    return service, [pair for pair, (name, _) in zip(query, in_query, strict=True) if name not in CREDENTIALS]


def _credentials(content_type: str, beginning: bytes) -> list[tuple[str, str]]:
    """The names, in lower case, and values of credentials in a body: the top of a JSON object, parts, or a form.

    `curl -d` sends JSON as a form, and others send forms as anything: WeChat looks at the body alone.
    """
    if document := parse_json(beginning):
        fields = [(name, str(value)) for name, value in document.items()]
    elif content_type.lower().startswith("multipart/"):
        fields = [(name.decode(), "") for name in PART_NAME.findall(beginning)]
    else:
        fields = parse_qsl(beginning.decode("latin-1"), keep_blank_values=True)
    told = [(name.strip().lower(), value) for name, value in fields]
    return [(name, value) for name, value in told if name in CREDENTIALS]


async def _own_token(
    hub: Hub, grant: WeChatGrant, request: Request[WeChatState], query: list[tuple[str, str]], body: bytes
) -> Response:
    """The token API, for SDKs that fetch a token of their own. `force_refresh` is ignored."""
    appid = dict(query).get("appid") or parse_json(body).get("appid")
    if appid not in (None, hub.account.appid):
        raise BadRequest(N_("appid: must be the account's"), field="appid")
    token = await hub.access_token.get()
    value = token.value if grant.raw_token else request.scope["wechat.secret"]
    left = max(1, int(token.expires - request.state["wechat_clock"]()))
    return json_response({"access_token": value, "expires_in": left})


async def _own_ticket(request: Request[WeChatState], hub: Hub, query: list[tuple[str, str]]) -> Response:
    if dict(query).get("type", "jsapi") != "jsapi":
        raise BadRequest(N_("type: must be jsapi"), field="type")
    ticket = await hub.jsapi_ticket.get()
    left = max(1, int(ticket.expires - request.state["wechat_clock"]()))
    return json_response({"errcode": 0, "errmsg": "ok", "ticket": ticket.value, "expires_in": left})


async def _forward(
    request: Request[WeChatState], hub: Hub, path: str, query: list[tuple[str, str]], body: Body
) -> Response:
    """Calls WeChat. A streamed body cannot be sent again."""

    async def ask(token: str) -> ProxiedResponse:
        return await _call(request, hub, path, query, token, body)

    small = isinstance(body, bytes)
    reads = small and request.method == "GET"
    answer = await with_token(hub.access_token, ask, _errcode, reads=reads, repeatable=small)
    hub.count(path, answer.errcode)
    return answer.response


def _errcode(response: ProxiedResponse) -> int:
    return response.errcode


async def _call(
    request: Request[WeChatState],
    hub: Hub,
    path: str,
    query: list[tuple[str, str]],
    token: str,
    content: Body,
) -> ProxiedResponse:
    """Buffers a small JSON response, streams any other. Raises WeChatProblem, WeChatTimeout."""
    # A space is %20: `+` is one in forms only
    target = f"/{path}?{urlencode([('access_token', token), *query], quote_via=quote, safe='')}"
    headers = {name: request.headers[name] for name in FORWARDED_REQUEST_HEADERS if name in request.headers}
    state = request.state
    try:
        response = await state["wechat_http"].send(request.method, hub.account.api_url, target, headers, content)
        body = response.iter_body()
        try:
            async with asyncio.timeout(state["settings"].wechat_timeout):
                first, document = await _beginning_of(response, body)
        except BaseException:
            response.close()
            raise
    except (TimedOut, TimeoutError):
        hub.count(path, 504)
        raise WeChatTimeout(N_("WeChat does not answer in time.")) from None
    except (HttpClientError, UnusableResponse):
        hub.count(path, 502)
        raise WeChatProblem(N_("WeChat cannot be reached, or its response is not usable.")) from None
    if document is not None:
        back = Response(first, media_type="application/json", headers=NO_STORE)
        return ProxiedResponse(back, errcode_of(document))

    async def rest() -> AsyncIterator[bytes]:
        try:
            yield first
            async for data in body:
                yield data
        except HttpClientError as error:
            hub.count(path, 504 if isinstance(error, TimedOut) else 502)
            raise WeChatProblem(N_("WeChat's response is not usable.")) from None  # the connection is closed
        finally:
            response.close()

    kept = {name: response.headers[name] for name in FORWARDED_RESPONSE_HEADERS if name in response.headers}
    return ProxiedResponse(StreamingResponse(rest(), headers=kept | NO_STORE), 0)


class UnusableResponse(Exception):
    """Another status than 200, an HTML page, or incomplete JSON."""


async def _beginning_of(response: StreamedResponse, body: AsyncIterator[bytes]) -> tuple[bytes, dict[str, Any] | None]:
    """(a small JSON body, its document), or (the first bytes of any other body, None). Raises UnusableResponse."""
    if response.status != 200 or "html" in response.headers.get("content-type", ""):
        raise UnusableResponse
    first = b""
    async for data in body:
        first += data
        if not may_be_object(first) or len(first) > MAX_REPEATED_BODY:
            break
    if first.lstrip()[:9].lower().startswith((b"<!doctype", b"<html")):
        raise UnusableResponse
    if not first or not may_be_object(first) or len(first) > MAX_REPEATED_BODY:
        return first, None
    document = parse_json(first)
    if not document and first.strip() != b"{}":
        raise UnusableResponse
    return first, document
