"""The devices page: the user's sessions, to end one or all others."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.accounts.asking import Question, ask, named_in_query
from app.accounts.guards import sign_in_required
from app.accounts.helpers import audit, flash_message, page, redirect_with_message, see_other
from app.accounts.lifespan import AccountState
from app.accounts.models import User
from app.accounts.sign_in.reauthentication import confirm
from app.audit.log import Event
from app.sessions.session import Session
from app.web.body import form_fields
from app.web.errors import NotFound
from app.web.i18n import N_
from app.web.query import query_number

DEVICES = "/account/devices"
REASON = N_("You are about to end sessions of your account.")
END = Question(N_("End this session?"), N_("The device is signed out at once."), N_("End the session"))
END_OTHERS = Question(
    N_("End all other sessions?"),
    N_("Every other device is signed out at once. You stay signed in here."),
    N_("End all other sessions"),
)
PAGE, MAX_OFFSET = 50, 999_999
"""Sessions on a page."""


@dataclass(frozen=True, slots=True)
class DevicePage:
    """Some of a user's sessions: the request's own first, then those that were used last."""

    sessions: list[Session]
    own: str | None
    """The key of the request's own session."""
    next: int | None
    """The offset of the next page."""
    others: bool
    """The user has other sessions than the request's own."""


async def device_page(request: Request[AccountState], user: User) -> DevicePage:
    """The page of the query's `offset`; the request's own session is on the first page only. Raises BadRequest."""
    offset = query_number(request, "offset", 0, MAX_OFFSET) or 0
    own = await request.state["sessions"].open(request.scope)
    if own is not None and own.user != user.id:  # a cookie beside the token that authenticates
        own = None
    found = await request.state["sessions"].page_of_user(user.id, offset, PAGE)
    current = own.key if own is not None else None
    sessions = sorted((each for each in found.sessions if each.key != current), key=lambda it: it.seen, reverse=True)
    more = offset + PAGE < found.total
    others = more or bool(sessions)
    if own is not None and offset == 0 and found.total:
        sessions.insert(0, own)
    return DevicePage(sessions, current, offset + PAGE if more else None, others)


async def end_session_of(request: Request[AccountState], user: User, key: str) -> None:
    """Ends one of the user's sessions. Raises NotFound."""
    if not await request.state["sessions"].end_one(user.id, key):
        raise NotFound
    await audit(request, Event.SESSION_ENDED, user=user)


@sign_in_required
async def show_devices(request: Request[AccountState], user: User) -> Response:
    found = await device_page(request, user)
    return await page(
        request,
        "accounts/devices.html",
        sessions=found.sessions,
        own=found.own,
        others=found.others,
        next_offset=found.next,
        revocable=request.state["sessions"].revocable,
    )


@sign_in_required
async def ask_to_end_device(request: Request[AccountState], user: User) -> Response:
    sessions = await request.state["sessions"].of_user(user.id)
    session = named_in_query(request, sessions, lambda session: session.key, "key")
    template, fields = "accounts/ask_session.html", {"key": session.key}
    return await ask(request, END, back=DEVICES, fields=fields, template=template, session=session)


@sign_in_required
@confirm(REASON, DEVICES)
async def end_device(request: Request[AccountState], user: User) -> Response:
    """`POST /account/devices/end` with the session's `key`."""
    fields = await form_fields(request, "key")
    await end_session_of(request, user, fields["key"])
    return await redirect_with_message(request, "/account/devices", N_("The session has been ended."))


@sign_in_required
async def ask_to_end_other_devices(request: Request[AccountState], user: User) -> Response:
    return await ask(request, END_OTHERS, back=DEVICES)


@sign_in_required
@confirm(REASON, DEVICES)
async def end_other_devices(request: Request[AccountState], user: User) -> Response:
    own = await request.state["sessions"].open(request.scope)
    ended = await request.state["sessions"].end_all(user.id, keep=own.key if own is not None else None)
    await audit(request, Event.SESSION_ENDED, user=user, detail=f"{ended} others")
    if ended:
        await flash_message(request, N_("All other sessions have been ended."))
    return see_other("/account/devices")


routes = [
    Route("/account/devices", show_devices, methods=["GET"]),
    Route("/account/devices/end", ask_to_end_device, methods=["GET"]),
    Route("/account/devices/end", end_device, methods=["POST"]),
    Route("/account/devices/end-others", ask_to_end_other_devices, methods=["GET"]),
    Route("/account/devices/end-others", end_other_devices, methods=["POST"]),
]
