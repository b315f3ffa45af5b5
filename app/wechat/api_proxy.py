"""The proxy of WeChat's API: `/wechat/{account}/<path>` with a service's token in place of the access token."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, urlencode

import httpx
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app.accounts.services import Service, WeChatGrant
from app.http_client.client import HttpClientError
from app.store.client import StoreUnavailable
from app.store.rate_limit import Rule
from app.web.errors import BadRequest, Forbidden, NotFound, Problem, SignInRequired, TooMany, problem_of
from app.web.i18n import N_
from app.web.responses import json_response
from app.wechat.api_paths import is_allowed, is_safe
from app.wechat.errcodes import DEAD_TOKEN, errcode_of, parse_json
from app.wechat.errors import WeChatProblem, WeChatTimeout
from app.wechat.hub import Hub
from app.wechat.lifespan import WeChatState

SMALL = 64 * 1024
"""Bytes up to which a body is read whole: to repeat a request, to look for an errcode."""
TOKEN_PATHS = frozenset({"cgi-bin/token", "cgi-bin/stable_token"})
SECRETS = frozenset({"secret", "appsecret", "component_access_token", "component_appsecret"})
PASSED_ON = ("content-type", "content-length", "accept")
PASSED_BACK = ("content-type", "content-length", "content-disposition")


async def proxy(request: Request[WeChatState]) -> Response:
    """Any method of `/wechat/{account}/{path}`; problems are JSON."""
    try:
        return await _answer(request)
    except (Problem, StoreUnavailable) as error:
        problem = problem_of(error)
        document = {"type": "about:blank", "title": problem.title, "status": problem.status, "detail": problem.detail}
        document |= {"request_id": request.scope["state"]["request_id"], **problem.members}
        response = json_response({k: v for k, v in document.items() if v is not None}, problem.status)
        response.headers["Content-Type"] = "application/problem+json"
        response.headers.update(problem.headers)
        return response


async def _answer(request: Request[WeChatState]) -> Response:
    path = request.path_params["path"]
    raw_path = request.scope.get("raw_path", b"").partition(b"?")[0].decode("latin-1")
    if not is_safe(path) or not raw_path.endswith(f"/{path}"):
        raise BadRequest(N_("path: must be a plain path of the API"), field="path")
    query = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
    body = await _small_body(request)
    service, query = await _service(request, path, query, body)
    hub = request.state["wechat"].get(request.path_params["account"])
    grant = service.grants.wechat.get(request.path_params["account"])
    if grant is None:
        raise Forbidden(f"the service needs the grant wechat.{request.path_params['account']}")
    if hub is None:
        raise NotFound
    if path in TOKEN_PATHS:
        return await _own_token(hub, grant, request, query, body)
    if path == "cgi-bin/ticket/getticket":
        return await _own_ticket(request, hub)
    if not is_allowed(path, grant.paths):
        raise Forbidden(f"the grant wechat.{hub.name} does not cover the path {path}")
    await _limit(request, service, grant, hub.name)
    return await _passed_on(request, hub, path, query, body)


async def _small_body(request: Request[Any]) -> bytes | None:
    """The body; None if it is large, or of unknown length, and has to be streamed."""
    length = request.headers.get("content-length")
    if length is None and "transfer-encoding" not in request.headers:
        return b""
    return await request.body() if length is not None and int(length) <= SMALL else None


async def _service(
    request: Request[WeChatState], path: str, query: list[tuple[str, str]], body: bytes | None
) -> tuple[Service, list[tuple[str, str]]]:
    """(the calling service, the query without credentials). Raises SignInRequired, BadRequest."""
    given = [value for name, value in query if name == "access_token"]
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        given.append(bearer.strip())
    secrets = [value for name, value in query if name.lower() in SECRETS]
    if path in TOKEN_PATHS:
        document = parse_json(body or b"")
        given += secrets + ([str(document["secret"])] if "secret" in document else [])
    elif secrets:
        raise BadRequest(N_("secret: a secret cannot be passed on"), field="secret")
    if any(not value.startswith("tgs_") for value in given):
        raise BadRequest(N_("access_token: must be the service's token"), field="access_token")
    if not given or len(set(given)) > 1:
        raise SignInRequired
    service = await request.state["services"].authenticate(given[0])
    if service is None:
        raise SignInRequired
    request.scope["wechat.secret"] = given[0]
    hidden = {"access_token", *SECRETS}
    return service, [(name, value) for name, value in query if name.lower() not in hidden]


async def _own_token(
    hub: Hub, grant: WeChatGrant, request: Request[WeChatState], query: list[tuple[str, str]], body: bytes | None
) -> Response:
    """The token API, for SDKs that fetch a token of their own. `force_refresh` is ignored."""
    appid = dict(query).get("appid") or parse_json(body or b"").get("appid")
    if appid not in {None, hub.account.appid}:
        raise BadRequest(N_("appid: must be the account's"), field="appid")
    token = await hub.access_token.get()
    value = token.value if grant.raw_token else request.scope["wechat.secret"]
    left = max(1, int(token.expires - request.state["wechat_clock"]()))
    return json_response({"access_token": value, "expires_in": left})


async def _own_ticket(request: Request[WeChatState], hub: Hub) -> Response:
    ticket = await hub.jsapi_ticket.get()
    left = max(1, int(ticket.expires - request.state["wechat_clock"]()))
    return json_response({"errcode": 0, "errmsg": "ok", "ticket": ticket.value, "expires_in": left})


async def _limit(request: Request[WeChatState], service: Service, grant: WeChatGrant, account: str) -> None:
    """Raises TooMany."""
    rules = [(grant.per_minute, "wechat-minute", 60), (grant.per_day, "wechat-day", 86_400)]
    spent = [(Rule(name, times, seconds), f"{service.id}:{account}") for times, name, seconds in rules if times]
    wait = await request.state["rate_limiter"].spend(*spent) if spent else 0
    if wait:
        raise TooMany(wait)


async def _passed_on(
    request: Request[WeChatState], hub: Hub, path: str, query: list[tuple[str, str]], body: bytes | None
) -> Response:
    """Calls WeChat; a dead token is replaced, and a small request repeated, once."""
    token = await hub.access_token.get()
    content = body if body is not None else request.stream()
    response = await _call(request, hub, path, query, token.value, content)
    if isinstance(response, bytes) and errcode_of(parse_json(response)) in DEAD_TOKEN:
        token = await hub.access_token.replace(token.value)
        if body is not None:
            response = await _call(request, hub, path, query, token.value, body)
    if not isinstance(response, bytes):
        hub.count(path, 0)
        return response
    hub.count(path, errcode_of(parse_json(response)))
    return Response(response, media_type="application/json", headers={"Cache-Control": "no-store"})


async def _call(
    request: Request[WeChatState],
    hub: Hub,
    path: str,
    query: list[tuple[str, str]],
    token: str,
    content: bytes | AsyncIterator[bytes],
) -> bytes | StreamingResponse:
    """A small JSON body whole, everything else as a stream. Raises WeChatProblem, WeChatTimeout."""
    url = f"{hub.account.base_url}/{path}?{urlencode([('access_token', token), *query])}"
    headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
    opened = request.state["wechat_http"].stream(request.method, url, headers, content)
    try:
        response = await opened.__aenter__()
    except TimeoutError:
        hub.count(path, 504)
        raise WeChatTimeout(N_("WeChat does not answer in time.")) from None
    except HttpClientError:
        hub.count(path, 502)
        raise WeChatProblem(N_("WeChat cannot be reached.")) from None
    try:
        pieces = response.aiter_raw()
        first = await _first_piece(response, pieces)
    except (httpx.HTTPError, WeChatProblem):
        await opened.__aexit__(None, None, None)
        hub.count(path, 502)
        raise WeChatProblem(N_("WeChat's response is not usable.")) from None
    if first.startswith(b"{") and len(first) <= SMALL:
        await opened.__aexit__(None, None, None)
        return first

    async def rest() -> AsyncIterator[bytes]:
        try:
            yield first
            async for piece in pieces:
                yield piece
        finally:
            await opened.__aexit__(None, None, None)

    back = {name: response.headers[name] for name in PASSED_BACK if name in response.headers}
    return StreamingResponse(rest(), headers=back | {"Cache-Control": "no-store"})


async def _first_piece(response: httpx.Response, pieces: AsyncIterator[bytes]) -> bytes:
    """The first bytes; of JSON everything, up to SMALL. Raises WeChatProblem for HTML and for other statuses."""
    if response.status_code != 200 or "html" in response.headers.get("content-type", ""):
        raise WeChatProblem
    first = b""
    async for piece in pieces:
        first += piece
        if (first and not first.startswith(b"{")) or len(first) > SMALL:
            break
    if first.lstrip()[:9].lower().startswith((b"<!doctype", b"<html")):
        raise WeChatProblem
    return first
