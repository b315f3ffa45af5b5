"""The devices page: the user's sessions, to end one or all others."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.accounts.guards import sign_in_required
from app.accounts.helpers import audit, flash_message, page, see_other
from app.accounts.lifespan import AccountState
from app.accounts.models import User
from app.audit.log import Event
from app.web.body import form_fields
from app.web.errors import NotFound
from app.web.i18n import N_


@dataclass(frozen=True, slots=True)
class Device:
    """A session as its user sees it. Times are Unix seconds."""

    id: str
    device: str
    address: str
    created: float
    seen: float
    auth_method: str
    current: bool
    auth_time: float
    amr: tuple[str, ...]


async def devices_of(request: Request[AccountState], user: User) -> list[Device]:
    """The user's sessions, most recently used first; the request's own is `current`."""
    own = await request.state["sessions"].open(request.scope)
    current = own.key if own is not None else None
    return [
        Device(
            each.key,
            each.device,
            each.address,
            each.created,
            each.seen,
            each.auth_method,
            each.key == current,
            each.auth_time,
            each.amr,
        )
        for each in await request.state["sessions"].of_user(user.id)
    ]


async def end_device(request: Request[AccountState], user: User, key: str) -> None:
    """Ends one of the user's sessions. Raises NotFound."""
    if not await request.state["sessions"].end_one(user.id, key):
        raise NotFound
    await audit(request, Event.SESSION_ENDED, user=user)


@sign_in_required
async def show(request: Request[AccountState], user: User) -> Response:
    """`GET /account/devices`."""
    return await page(
        request,
        "accounts/devices.html",
        sessions=await devices_of(request, user),
        revocable=request.state["sessions"].revocable,
    )


@sign_in_required
async def end(request: Request[AccountState], user: User) -> Response:
    """`POST /account/devices/end` with the session's `key`."""
    fields = await form_fields(request, "key")
    await end_device(request, user, fields["key"])
    await flash_message(request, N_("The session has been ended."))
    return see_other("/account/devices")


@sign_in_required
async def end_others(request: Request[AccountState], user: User) -> Response:
    """`POST /account/devices/end-others`."""
    own = await request.state["sessions"].open(request.scope)
    ended = await request.state["sessions"].end_all(user.id, keep=own.key if own is not None else None)
    await audit(request, Event.SESSION_ENDED, user=user, detail=f"{ended} others")
    if ended:
        await flash_message(request, N_("All other sessions have been ended."))
    return see_other("/account/devices")


routes = [
    Route("/account/devices", show, methods=["GET"]),
    Route("/account/devices/end", end, methods=["POST"]),
    Route("/account/devices/end-others", end_others, methods=["POST"]),
]
