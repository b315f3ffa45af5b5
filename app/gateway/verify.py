"""The three endpoints that reverse proxies ask."""

import time
from typing import cast

import structlog
from starlette.types import Scope

from app.gateway.callers import BadCredentials
from app.gateway.identity import is_navigation
from app.gateway.lifespan import GatewayState
from app.gateway.original_request import (
    BadOriginalRequest,
    OriginalRequest,
    from_auth_request,
    from_ext_authz,
    from_forward_auth,
)
from app.gateway.readings import BadPath
from app.gateway.responses import BadAddress, NotSignedIn, challenge, problem, refused
from app.gateway.rules import Answer
from app.store.client import StoreUnavailable
from app.web.errors import Problem, Unavailable
from app.web.fast_path import FastEndpoint, FastResponse
from app.web.headers import headers_of
from app.web.i18n import N_
from app.web.proxies import TRUSTED_PEER

WARNING_INTERVAL = 60.0
"""Seconds between two warnings of questions from untrusted addresses."""
UNAVAILABLE = N_("Sign-in is temporarily unavailable. Please try again soon.")


class UntrustedCaller(Problem):
    status = 403
    title = N_("Not allowed")
    detail = N_("Only reverse proxies may ask here: add the address of yours to the setting trusted_proxies.")


class Verify(FastEndpoint):
    """200 lets the original request pass and names its user; every other status refuses it."""

    redirects = True

    def __init__(self) -> None:
        self._warned = float("-inf")

    def original(self, scope: Scope) -> OriginalRequest:
        """Raises BadOriginalRequest."""
        raise NotImplementedError

    def try_fast(self, scope: Scope) -> FastResponse | None:
        """Lets a request pass if it may, and nothing has to be asked for that."""
        if TRUSTED_PEER not in scope:
            return None
        gateway = cast(GatewayState, scope["state"])["gateway"]
        try:
            original = self.original(scope)
            scope["scheme"] = original.scheme
            verdict = gateway.judge_fast(scope, original)
        except (BadOriginalRequest, BadPath):
            return None
        if verdict is None or verdict.decision.answer != Answer.ALLOW:
            return None
        gateway.count(verdict.decision)
        return verdict.head, b""

    async def handle(self, scope: Scope) -> FastResponse:
        state = cast(GatewayState, scope["state"])
        if TRUSTED_PEER not in scope:
            self._warn(scope)
            return problem(scope, state["pages"], UntrustedCaller(setting="trusted_proxies"))
        try:
            return await self._answer(scope, state)
        except BadOriginalRequest as error:
            return problem(scope, state["pages"], BadAddress(str(error), field=error.field))
        except BadPath as error:
            return problem(scope, state["pages"], BadAddress(f"path: {error}", field="path"))
        except BadCredentials:
            return problem(scope, state["pages"], NotSignedIn(), challenge(scope))
        except StoreUnavailable:
            return problem(scope, state["pages"], Unavailable(UNAVAILABLE), page=self._shows_pages(scope))

    async def _answer(self, scope: Scope, state: GatewayState) -> FastResponse:
        gateway, original = state["gateway"], self.original(scope)
        scope["scheme"] = original.scheme
        verdict = await gateway.judge(scope, original)
        decision = verdict.decision
        gateway.count(decision)
        if decision.answer == Answer.ALLOW:
            return verdict.head, b""
        return refused(scope, state["pages"], original, decision.answer, decision.within, redirects=self.redirects)

    def _shows_pages(self, scope: Scope) -> bool:
        return is_navigation(self.original(scope).method, headers_of(scope))

    def _warn(self, scope: Scope) -> None:
        if time.monotonic() - self._warned >= WARNING_INTERVAL:
            self._warned = time.monotonic()
            structlog.get_logger("gateway").warning(
                "a question from an address that is not in trusted_proxies was refused",
                address=scope["client"][0] if scope["client"] else "unix",
            )


class AuthRequest(Verify):
    """`/verify/auth-request`, for nginx."""

    redirects = False

    def original(self, scope: Scope) -> OriginalRequest:
        return from_auth_request(scope["headers"])


class ForwardAuth(Verify):
    """`/verify/forward-auth`, for Traefik and Caddy."""

    def original(self, scope: Scope) -> OriginalRequest:
        return from_forward_auth(scope["headers"])


class ExtAuthz(Verify):
    """`/verify/ext-authz/<path>`, for Envoy."""

    prefix = b"/verify/ext-authz"

    def original(self, scope: Scope) -> OriginalRequest:
        raw: bytes = scope["raw_path"]
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        if not raw.startswith(self.prefix + b"/"):
            raise BadOriginalRequest("path", "must be below /verify/ext-authz/")
        return from_ext_authz(scope["headers"], scope["method"], raw.removeprefix(self.prefix) + query)


class Refused(Verify):
    """`/.tallygate/refused`: nginx passes no body on, so its `error_page` asks here for the page."""

    def original(self, scope: Scope) -> OriginalRequest:
        return from_auth_request(scope["headers"])

    def try_fast(self, scope: Scope) -> None:
        return None

    async def _answer(self, scope: Scope, state: GatewayState) -> FastResponse:
        answer = await super()._answer(scope, state)
        if answer[0].status == 200:  # a moment ago it was refused: Redis is back, or the user has signed in meanwhile
            return problem(scope, state["pages"], Unavailable(UNAVAILABLE), page=self._shows_pages(scope))
        return answer
