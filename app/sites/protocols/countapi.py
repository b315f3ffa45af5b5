"""CountAPI's and abacus' protocol, where the setting `countapi` is on: counters that anybody makes and hits.

What changes a value otherwise needs the key that `create` answered, as Bearer or `token`, as in abacus.
"""

import asyncio
import hashlib
import re
import secrets
from collections.abc import AsyncIterator, Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from app.accounts.helpers import address_of, raise_if_limited
from app.sites.badges import badge
from app.sites.collect import GIF
from app.sites.counting_script import MAX_OF_COUNTER
from app.sites.lifespan import SitesState
from app.sites.protocols.busuanzi import CALLBACK
from app.sites.protocols.cross_origin import HEADERS, cross_origin_json
from app.store.client import StoreUnavailable
from app.store.rate_limit import Rule, address_key
from app.web.errors import BadRequest, MethodNotAllowed, NotFound, Problem
from app.web.streams import HEADERS as STREAM_HEADERS
from app.web.streams import admit, event_stream

NAME = re.compile(r"[A-Za-z0-9_\-.]{3,64}")
CREATION = Rule("countapi-creation", 120, 3600)
"""120 names an hour from an address."""
REFUSALS = {
    "exists": (409, "Key already exists"),
    "missing": (404, "Key not found"),
    "forbidden": (403, "The key's admin_key is missing or wrong"),
    "full": (400, "The value would be out of range"),
}
INTERVAL = 1.0
CHANGES = frozenset({"set", "update", "reset", "delete"})
READS = frozenset({"hit", "get", "info"})
"""What HEAD may ask for: it counts nothing."""


async def answer(request: Request[SitesState]) -> Response:
    """`/countapi/{what}/{namespace}/{name}`, `/countapi/{what}/{name}`, and `/countapi/create` for a name of ours."""
    if not request.state["settings"].countapi:
        raise NotFound
    if not CALLBACK.fullmatch(request.query_params.get("callback", "_")):
        return cross_origin_json({"error": "callback: must be a name"}, 400)
    try:
        return await _answer(request)
    except Problem as error:
        return _json(request, error.status, {"value": None, "error": error.detail or error.title}, error.headers)
    except StoreUnavailable:
        reason = "Redis is away: the change may have been made or not"
        return _json(request, 503, {"value": None, "error": reason}, {"Retry-After": "1"})


async def _answer(request: Request[SitesState]) -> Response:
    if request.method == "OPTIONS":
        more = {"Access-Control-Allow-Methods": "GET, POST", "Access-Control-Allow-Headers": "Authorization"}
        return Response(status_code=204, headers=HEADERS | more)
    what, names = request.path_params["what"], request.path_params.get("names", "").split("/")
    if request.method == "HEAD" and what not in READS:
        raise MethodNotAllowed("GET, POST")
    shield = names[-1] == "shield" and len(names) == 3
    if what == "create" and names == [""]:
        names = [
            request.query_params.get("namespace", "default"),
            request.query_params.get("key", secrets.token_hex(8)),
        ]
    namespace, name = (["default", *names] if len(names) == 1 else names[:2])[:2]
    if len(names) > 3 or (len(names) == 3 and not shield) or not (NAME.fullmatch(namespace) and NAME.fullmatch(name)):
        return _json(request, 400, {"value": None, "error": "Names have 3 to 64 letters, digits, _ - ."})
    counter = f"{namespace}:{name}"
    match what:
        case "hit" | "get":
            return await _value(request, what, counter, shield=shield)
        case "info":
            return await _info(request, counter)
        case "create":
            return await _create(request, counter)
        case "stream":
            return await _stream(request, counter)
        case _ if what in CHANGES:
            return await _change(request, what, counter)
        case _:
            raise NotFound


async def _value(request: Request[SitesState], what: str, counter: str, *, shield: bool) -> Response:
    store = request.state["countapi"]
    counts = what == "hit" and request.method != "HEAD"
    try:
        value = None if counts and store.is_away(counter) else await store.get(counter)
        if counts and value is None and not store.is_away(counter):
            await _spend(request)
    except StoreUnavailable:
        if not counts:
            raise
        value = None
    if counts:
        if value is not None and value >= MAX_OF_COUNTER:
            return _refused(request, "full")
        value = await store.hit(counter)
    if shield:
        picture = badge("hits", "?" if counts and value is None else f"{value or 0:,}", "#007ec6", "flat")
        return Response(picture, headers=HEADERS, media_type="image/svg+xml")
    if "img" in request.query_params:
        return Response(GIF, headers=HEADERS, media_type="image/gif")
    if value is None and not counts:
        return _json(request, 404, {"value": None, "error": "Key not found"})
    return _json(request, 200, {"value": value})


async def _info(request: Request[SitesState], counter: str) -> Response:
    """As abacus answers: a value is genuine if nobody has a key to change it."""
    found = await request.state["countapi"].info(counter)
    value, expires, has_key = found or (-1, -1, False)
    namespace, _, name = counter.partition(":")
    told = {
        "value": value,
        "full_key": counter,
        "namespace": namespace,
        "key": name,
        "is_genuine": not has_key,
        "expires_in": expires,
        "exists": found is not None,
    }
    return _json(request, 200, told)


async def _create(request: Request[SitesState], counter: str) -> Response:
    number = _number(request, "initializer", "value", missing="0")
    await _spend(request)
    key = secrets.token_urlsafe(24)
    changed = await request.state["countapi"].change("create", counter, request.state["clock"](), number, _hash(key))
    if isinstance(changed, str):
        return _refused(request, changed)
    namespace, _, name = counter.partition(":")
    return _json(request, 201, {"namespace": namespace, "key": name, "value": number, "admin_key": key})


async def _change(request: Request[SitesState], what: str, counter: str) -> Response:
    number = 0 if what in {"reset", "delete"} else _number(request, "value", "amount")
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    token = secret.strip() if scheme.lower() == "bearer" else request.query_params.get("token", "")
    changed = await request.state["countapi"].change(
        "set" if what == "reset" else what, counter, request.state["clock"](), number, _hash(token)
    )
    if isinstance(changed, str):
        return _refused(request, changed)
    old, new = changed
    return _json(request, 200, {"status": "ok"} if what == "delete" else {"old_value": old, "value": new})


async def _stream(request: Request[SitesState], counter: str) -> Response:
    admit(request)
    return event_stream(request, _values(request, counter), HEADERS | STREAM_HEADERS)


async def _values(request: Request[SitesState], counter: str) -> AsyncIterator[str]:
    live, stopping, told, quiet = request.state["live_sites"], request.state["lifecycle"].stopping, None, 0.0
    live.watchers += 1
    try:
        while not stopping.is_set():
            value = await request.state["countapi"].get(counter)
            quiet += INTERVAL
            if value != told or quiet >= 15:
                yield f'data: {{"value":{"null" if value is None else value}}}\n\n'
                told, quiet = value, 0.0
            await asyncio.sleep(INTERVAL)
    finally:
        live.watchers -= 1


async def _spend(request: Request[SitesState]) -> None:
    wait = await request.state["rate_limiter"].spend((CREATION, address_key(address_of(request))))
    raise_if_limited(wait)


def _number(request: Request[Any], *names: str, missing: str = "") -> int:
    """The first present parameter. Raises BadRequest."""
    name = next((name for name in names if name in request.query_params), names[0])
    text = request.query_params.get(name, missing)
    if not re.fullmatch(r"-?[0-9]{1,16}", text) or abs(int(text)) > MAX_OF_COUNTER:
        raise BadRequest(f"{name}: must be a whole number", field=name)
    return int(text)


def _refused(request: Request[Any], word: str) -> Response:
    status, reason = REFUSALS[word]
    return _json(request, status, {"value": None, "error": reason})


def _json(
    request: Request[Any], status: int, document: dict[str, object], headers: Mapping[str, str] | None = None
) -> Response:
    """JSON, or a call of `callback`: that always succeeds, with the status in it, because a script sees no other."""
    callback = request.query_params.get("callback")
    if callback is None:
        return cross_origin_json(document, status, headers)
    text = f"{callback}({orjson.dumps({'code': status, **document}).decode()})"
    return Response(text, headers=HEADERS, media_type="text/javascript")


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest() if secret else ""
