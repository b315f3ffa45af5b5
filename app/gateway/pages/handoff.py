"""Signing in at a protected host: `/.tallygate/start` sends the browser to the portal, whose `/gateway/authorize` sends
it back to `/.tallygate/finish` with a code. Each host has its own cookie, which is valid at that host only.
"""

import base64
import re
import secrets
from urllib.parse import quote, urlsplit

import structlog
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from app.accounts.guards import user_of
from app.accounts.helpers import address_of, audit, raise_if_limited, redirect_page
from app.accounts.secret import digest
from app.audit.log import Event
from app.gateway.callers import signed_in_at
from app.gateway.lifespan import GatewayState
from app.gateway.models import CODE_LIFETIME, HANDOFF_LIFETIME, Handoff
from app.gateway.original_request import UNSAFE, split_authority
from app.gateway.pages.site import site_page
from app.gateway.responses import MAX_NEXT_BYTES
from app.store.rate_limit import Rule, address_key
from app.web.cookies import cookie_header, full_name, read_cookie, set_cookie
from app.web.errors import BadRequest, FreshSignInRequired, NotFound, SignInRequired
from app.web.i18n import N_

COOKIE = "tallygate-start"
SECRET = re.compile(r"[A-Za-z0-9_-]{32}")
MAX_FRAGMENT_LENGTH = 1400
"""Characters of a fragment in base64url: it travels in `next`."""
VISIBLE = re.compile(rb"[\x21-\x7e]+")
STARTS = Rule("gateway-start", 300, 60)
"""By address: every start keeps its page's address in Redis for a quarter of an hour."""


@site_page
async def start(request: Request[GatewayState]) -> Response:
    """`GET /.tallygate/start?next=&within=` of a protected host."""
    gateway, scope = request.state["gateway"], request.scope
    origin, host = _place(request)
    target = request.query_params.get("next", "/")
    if not is_target(target):
        raise BadRequest("next: must be a path of this site", field="next")
    within = request.query_params.get("within", "0")
    if not (within.isascii() and within.isdigit() and len(within) <= 9):
        raise BadRequest("within: must be a whole number of seconds", field="within")
    raise_if_limited(await request.state["rate_limiter"].spend((STARTS, address_key(address_of(request)))))
    browser = read_cookie(cookie_header(scope), full_name(COOKIE, scope).encode()) or ""
    if not SECRET.fullmatch(browser):
        browser = secrets.token_urlsafe(24)
    handoff = Handoff(origin, host, target, digest(browser), gateway.clock(), int(within))
    handoff_id = await gateway.store.begin(handoff)
    response = _redirect(f"{gateway.portal}/gateway/authorize?id={handoff_id}")
    response.raw_headers.append(set_cookie(scope, COOKIE, browser, HANDOFF_LIFETIME))
    return response


async def authorize(request: Request[GatewayState]) -> Response:
    """`GET /gateway/authorize?id=&fragment=` of the portal: signs in if need be, then leads back to the host."""
    gateway = request.state["gateway"]
    handoff_id = request.query_params.get("id", "")
    handoff = await gateway.store.handoff(handoff_id) if SECRET.fullmatch(handoff_id) else None
    if handoff is None:
        raise BadRequest(N_("This link to sign in has expired: open the page again."), field="id")
    fragment = request.query_params.get("fragment", "")
    back = f"/gateway/authorize?id={handoff_id}" + (f"&fragment={quote(fragment)}" if fragment else "")
    if await request.state["current_user"].get(request.scope) is None:
        raise SignInRequired(back)
    user = await user_of(request)
    session = await request.state["sessions"].open(request.scope)
    if session is None:  # an API token cannot sign in a browser
        raise SignInRequired(back)
    since = signed_in_at(session)
    if handoff.within and since < handoff.created and gateway.clock() - since > handoff.within:
        raise FreshSignInRequired(back)
    code = await gateway.store.issue(handoff, handoff_id, user.id, session.root)
    url = f"{handoff.origin}/.tallygate/finish?code={code}&state={handoff_id}{decoded_fragment(fragment)}"
    return await _onward(request, url)


@site_page
async def finish(request: Request[GatewayState]) -> Response:
    """`GET /.tallygate/finish?code=&state=` of a protected host: exchanges the code for a cookie of this host."""
    gateway, scope = request.state["gateway"], request.scope
    _, host = _place(request)
    code, state = request.query_params.get("code", ""), request.query_params.get("state", "")
    if not SECRET.fullmatch(code) or not SECRET.fullmatch(state):
        raise BadRequest("code, state: are missing or malformed", field="code")
    cookies = cookie_header(scope)
    browser = read_cookie(cookies, full_name(COOKIE, scope).encode()) or ""
    taken = await gateway.store.take(code)
    if taken is None or gateway.clock() - taken.issued > CODE_LIFETIME:
        raise _refusal(request, "unknown or too old")
    if not taken.first:
        await audit(request, Event.SITE_CODE_REPLAYED, user=taken.user, detail=host)
        raise _refusal(request, "used before")
    if (taken.handoff.host, taken.state, taken.handoff.browser) != (host, state, digest(browser)):
        raise _refusal(request, "of another host, attempt or browser")
    session = await request.state["sessions"].by_root(taken.session)
    if session is None:
        raise _refusal(request, "of a session that has ended")
    before = gateway.callers.host_key(scope, cookies, host)
    response = _redirect(taken.handoff.origin + taken.handoff.next)
    response.raw_headers.append(await gateway.callers.start(scope, session, host))
    if before is not None:  # the former session must not outlive a new sign-in (GHSA-f24x)
        await gateway.store.end_session(before)
    return response


def decoded_fragment(text: str) -> str:
    """`#section` of the page that was asked for, from base64url; empty for anything else."""
    if len(text) > MAX_FRAGMENT_LENGTH:
        return ""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:  # not base64, or not ASCII
        return ""
    return f"#{raw.decode()}" if VISIBLE.fullmatch(raw) else ""


def is_target(target: str) -> bool:
    """Whether this is a path, perhaps with a query, that can follow a host's origin in a Location header. A leading
    `//` is harmless there.
    """
    raw = target.encode("utf-8", "replace")
    return target.startswith("/") and len(raw) <= MAX_NEXT_BYTES and UNSAFE.search(raw) is None


def _place(request: Request[GatewayState]) -> tuple[str, str]:
    """(the origin, the host) of the request. Raises NotFound for a host that no rule names."""
    gateway, scheme = request.state["gateway"], request.scope["scheme"]
    place = split_authority(request.headers.get("host", "").encode("latin-1"), scheme)
    if place is None or not gateway.rules.of_host(*place):
        raise NotFound(N_("No rule of this service names this host."))
    if scheme != "https" and gateway.portal.startswith("https:"):
        # A code that leaves a portal with TLS must not travel without it.
        raise BadRequest(
            "X-Forwarded-Proto: must be https, because public_url is; the proxy has to set it and must be in "
            "trusted_proxies",
            field="X-Forwarded-Proto",
        )
    host, port = place
    return f"{scheme}://{host}" + ("" if port is None else f":{port}"), host


async def _onward(request: Request[GatewayState], url: str) -> Response:
    """Chromium refuses a redirect to another host that a form has led to (CSP: form-action), so a page leads on."""
    return await redirect_page(request, url) if _follows_a_form(request.headers, request.url.netloc) else _redirect(url)


def _follows_a_form(headers: Headers, own: str) -> bool:
    """Whether a form of the portal may have led here. Over plain HTTP browsers send only Referer."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    return urlsplit(headers.get("referer", "")).netloc == own


def _redirect(url: str) -> Response:
    response = Response(status_code=302, headers={"Cache-Control": "no-store", "Vary": "Cookie"})
    response.raw_headers.append((b"location", url.encode()))  # byte for byte: RedirectResponse would quote it
    return response


def _refusal(request: Request[GatewayState], reason: str) -> BadRequest:
    structlog.get_logger("gateway").warning(
        "a code to sign in at a host was refused", reason=reason, host=request.headers.get("host", ""),
        address=address_of(request),
    )  # fmt: skip
    return BadRequest(N_("This link to sign in cannot be used again: open the page once more."), field="code")
