"""The endpoints that reverse proxies ask: three forms of the question, and the page of a refusal."""

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
from app.gateway.service import Gateway, Question
from app.store.client import StoreUnavailable
from app.web.errors import Problem, Unavailable
from app.web.fast_path import FastEndpoint, FastResponse, StaticHeaders
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
    read_headers: tuple[bytes, ...] = (b"cookie", b"authorization")

    def __init__(self) -> None:
        self._warned = float("-inf")

    def original(self, scope: Scope) -> OriginalRequest:
        """Raises BadOriginalRequest."""
        raise NotImplementedError

    def question(self, scope: Scope, address: str | None) -> Question | None:
        """All that the answer depends on; None if a header came twice."""
        headers = headers_of(scope)
        if len(headers) != len(scope["headers"]):
            return None
        return (type(self), address, *map(headers.get, self.read_headers))

    def try_fast(self, scope: Scope) -> FastResponse | None:
        """Lets a request pass if it may, and nothing has to be asked for that."""
        if TRUSTED_PEER not in scope:
            return None
        gateway = cast(GatewayState, scope["state"])["gateway"]
        question = self.question(scope, gateway.address_of(scope))
        head = gateway.recall(question) or self._judge_fast(scope, gateway, question)
        return None if head is None else (head, b"")

    def _judge_fast(self, scope: Scope, gateway: Gateway, question: Question | None) -> StaticHeaders | None:
        """The headers of an answer that lets the request pass."""
        try:
            original = self.original(scope)
            scope["scheme"] = original.scheme
            verdict = gateway.judge_fast(scope, original)
        except (BadOriginalRequest, BadPath):
            return None
        if verdict is None or verdict.decision.answer != Answer.ALLOW:
            return None
        if question is not None:
            gateway.remember(question, verdict)
        gateway.count(verdict.decision)
        return verdict.head

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

    def question(self, scope: Scope, address: str | None) -> Question | None:
        question = super().question(scope, address)
        return None if question is None else (*question, scope["method"], scope["raw_path"], scope["query_string"])

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
