"""The endpoints of forward-auth: one for each protocol, and the page of a refused request."""

import time
from typing import cast

import structlog
from starlette.types import Scope

from app.gateway.callers import BadCredentials
from app.gateway.lifespan import GatewayState
from app.gateway.original_request import (
    BadOriginalRequest,
    OriginalRequest,
    from_auth_request,
    from_ext_authz,
    from_forward_auth,
    split_authority,
)
from app.gateway.readings import BadPath
from app.gateway.responses import BadAddress, NotSignedIn, OutOfScope, challenge, is_navigation, problem, refused
from app.gateway.rules import Effect
from app.gateway.service import Gateway, RequestKey
from app.store.client import StoreUnavailable
from app.web.errors import Problem, Unavailable
from app.web.fast_path import FastEndpoint, FastResponse, StaticHeaders
from app.web.headers import headers_of
from app.web.i18n import N_
from app.web.proxies import TRUSTED_PEER

WARNING_INTERVAL = 60.0
"""Seconds between two warnings of requests from untrusted addresses."""
UNAVAILABLE = N_("Sign-in is temporarily unavailable. Please try again soon.")


class UntrustedCaller(Problem):
    status = 403
    title = N_("Not allowed")
    detail = N_("Only trusted reverse proxies may use this address: add yours to the setting trusted_proxies.")


class Verify(FastEndpoint):
    """200 allows the original request and names its user; every other status refuses it."""

    redirects = True
    read_headers: tuple[bytes, ...] = (b"cookie", b"authorization")

    def __init__(self) -> None:
        self._warned = float("-inf")

    def original(self, scope: Scope) -> OriginalRequest:
        """Raises BadOriginalRequest."""
        raise NotImplementedError

    def request_key(self, scope: Scope, address: str | None) -> RequestKey | None:
        """The values that the verdict depends on; None if a header occurs twice."""
        headers = headers_of(scope)
        if len(headers) != len(scope["headers"]):
            return None
        return (type(self), address, *map(headers.get, self.read_headers))

    def try_fast(self, scope: Scope) -> FastResponse | None:
        """Allows a request if that needs no Redis."""
        if TRUSTED_PEER not in scope:
            return None
        gateway = cast(GatewayState, scope["state"])["gateway"]
        key = self.request_key(scope, gateway.address_of(scope))
        head = gateway.cached_pass(key) or self._judge_fast(scope, gateway, key)
        return None if head is None else (head, b"")

    def _judge_fast(self, scope: Scope, gateway: Gateway, key: RequestKey | None) -> StaticHeaders | None:
        """The headers of the response that allows the request."""
        try:
            original = self.original(scope)
            scope["scheme"] = original.scheme
            verdict = gateway.judge_fast(scope, original)
        except (BadOriginalRequest, BadPath):
            return None
        if verdict is None or verdict.decision.effect != Effect.ALLOW:
            return None
        if key is not None:
            gateway.cache_pass(key, verdict)
        gateway.count(verdict.decision)
        return verdict.head

    async def handle(self, scope: Scope) -> FastResponse:
        state = cast(GatewayState, scope["state"])
        if TRUSTED_PEER not in scope:
            self._warn(scope)
            return problem(scope, state["pages"], UntrustedCaller(setting="trusted_proxies"))
        try:
            return await self._respond(scope, state)
        except BadOriginalRequest as error:
            return problem(scope, state["pages"], BadAddress(str(error), field=error.field))
        except BadPath as error:
            return problem(scope, state["pages"], BadAddress(f"path: {error}", field="path"))
        except BadCredentials:
            return problem(scope, state["pages"], NotSignedIn(), challenge(scope))
        except OutOfScope as error:
            return problem(scope, state["pages"], error)
        except StoreUnavailable:
            return problem(scope, state["pages"], Unavailable(UNAVAILABLE), page=self._shows_pages(scope))

    async def _respond(self, scope: Scope, state: GatewayState) -> FastResponse:
        gateway, original = state["gateway"], self.original(scope)
        scope["scheme"] = original.scheme
        verdict = await gateway.judge(scope, original)
        decision = verdict.decision
        gateway.count(decision)
        if decision.effect == Effect.ALLOW:
            return verdict.head, b""
        return refused(scope, state["pages"], original, decision.effect, decision.within, redirects=self.redirects)

    def _shows_pages(self, scope: Scope) -> bool:
        return is_navigation(self.original(scope).method, headers_of(scope))

    def _warn(self, scope: Scope) -> None:
        if time.monotonic() - self._warned >= WARNING_INTERVAL:
            self._warned = time.monotonic()
            structlog.get_logger("gateway").warning(
                "refused a request from an address that is not in trusted_proxies",
                address=scope["client"][0] if scope["client"] else "unix",
            )


class NginxAuthRequest(Verify):
    """`/verify/auth-request`, for nginx."""

    redirects = False
    read_headers = (*Verify.read_headers, b"x-original-url", b"x-original-method")

    def original(self, scope: Scope) -> OriginalRequest:
        return from_auth_request(scope["headers"])


class ForwardAuth(Verify):
    """`/verify/forward-auth`, for Traefik and Caddy."""

    read_headers = (
        *Verify.read_headers, b"x-forwarded-method", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-uri",
    )  # fmt: skip

    def original(self, scope: Scope) -> OriginalRequest:
        return from_forward_auth(scope["headers"])


class EnvoyExtAuthz(Verify):
    """`/verify/ext-authz/<path>`, for Envoy."""

    prefix = b"/verify/ext-authz"
    read_headers = (*Verify.read_headers, b"host", b"x-forwarded-proto")

    def request_key(self, scope: Scope, address: str | None) -> RequestKey | None:
        key = super().request_key(scope, address)
        return None if key is None else (*key, scope["method"], scope["raw_path"], scope["query_string"])

    def original(self, scope: Scope) -> OriginalRequest:
        raw: bytes = scope["raw_path"]
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        if not raw.startswith(self.prefix + b"/"):
            raise BadOriginalRequest("path", "must be below /verify/ext-authz/")
        return from_ext_authz(scope["headers"], scope["method"], raw.removeprefix(self.prefix) + query)


class Refused(Verify):
    """`/.tallygate/refused`: the page of a refused request for nginx's `error_page`; auth_request passes no body on."""

    def original(self, scope: Scope) -> OriginalRequest:
        original = from_auth_request(scope["headers"])
        place = split_authority(headers_of(scope).get(b"host", b""), original.scheme)
        if place is None or place[0] != original.host:  # clients can ask here, too, with a header of their own
            raise BadOriginalRequest("X-Original-URL", "must be at the host of the request")
        return original

    def try_fast(self, scope: Scope) -> None:
        return None

    async def _respond(self, scope: Scope, state: GatewayState) -> FastResponse:
        response = await super()._respond(scope, state)
        if response[0].status == 200:  # allowed meanwhile: Redis is back, or the user has signed in
            return problem(scope, state["pages"], Unavailable(UNAVAILABLE), page=self._shows_pages(scope))
        return response
