"""Re-authentication: a page "Confirm it's you" before a sensitive act. The values of the form go through afterwards.

The page is the answer to the form itself: it holds the form's values and asks for a proof beside them, so the same
request comes again with the proof. Only at a provider the form has to wait (waiting_forms.py).
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import wraps
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from app.accounts.helpers import audit, page, raise_if_limited
from app.accounts.lifespan import S
from app.accounts.models import SignInOption, User
from app.audit.log import Event
from app.web.body import MAX_FIELD_LENGTH, form_of
from app.web.errors import FreshSignInRequired
from app.web.i18n import N_
from app.web.negotiate import prefers_json

PREFIX = "confirm_"
"""Names of the page's own fields begin with it."""
UserHandler = Callable[[Request[S], User], Awaitable[Response]]


def confirm(reason: str, back: str = "/account") -> Callable[[UserHandler[S]], UserHandler[S]]:
    """A decorator for acts: the user has to have authenticated recently. Stands below `@sign_in_required`.

    `reason` completes the page; `back` is where "Cancel" leads. The API responds 401 with `sign_in_url`.
    """

    def decorate(handler: UserHandler[S]) -> UserHandler[S]:
        @wraps(handler)
        async def guarded(request: Request[S], user: User) -> Response:
            question = await confirmation(request, user, reason, back)
            return question if question is not None else await handler(request, user)

        return guarded

    return decorate


async def confirmation(request: Request[S], user: User, reason: str, back: str = "/account") -> Response | None:
    """None if the user has authenticated recently, or proves it in this request; else the page that asks."""
    if await request.state["sessions"].fresh(request.scope):
        return None
    if prefers_json(request.scope):
        raise FreshSignInRequired(back)
    fields = await kept_fields(request)
    password, error = fields.pop(PREFIX + "password", [""])[0], None
    if password:
        if await _right_password(request, user, password):
            return None
        error = N_("The password is wrong.")
    values = [(name, value) for name, all_of_it in fields.items() for value in all_of_it]
    return await form(request, user, reason, request.url.path, values, back=back, error=error)


async def form(
    request: Request[S],
    user: User,
    reason: str,
    action: str,
    values: Sequence[tuple[str, str]],
    *,
    back: str = "/account",
    error: str | None = None,
) -> Response:
    """The page that asks for a proof."""
    response = await page(
        request,
        "accounts/confirm.html",
        status_code=401,
        error=error,
        reason=request.state["pages"].translate(request.state["pages"].locale_of(request.scope), reason),
        action=action,
        values=values,
        back=back,
        providers=await providers_of(request, user),
    )
    response.headers["WWW-Authenticate"] = "Bearer"  # RFC 9110, 15.5.2 demands one
    return response


async def providers_of(request: Request[S], user: User) -> list[SignInOption]:
    """The providers that know the user and can authenticate it again."""
    known = {identity.provider for identity in await request.state["identities"].of_user(user.id)}
    return [option for option in request.state["sign_in_options"] if option.name in known and option.reauthenticates]


async def kept_fields(request: Request[Any]) -> dict[str, list[str]]:
    """The fields of the request's form, each a list of its values. Raises BadRequest."""
    if request.method != "POST":
        return {}
    fields: dict[str, list[str]] = {}
    for name, value in (await form_of(request)).multi_items():
        if isinstance(value, str) and len(name) <= 64 and len(value) <= MAX_FIELD_LENGTH:
            fields.setdefault(name, []).append(value)
    return {name: value for name, value in fields.items() if name == PREFIX + "password" or not name.startswith(PREFIX)}


async def _right_password(request: Request[S], user: User, password: str) -> bool:
    """Whether the password is right; the session goes on under a new id then (ASVS 5.0, 7.2.4). Raises TooMany."""
    state = request.state
    raise_if_limited(await state["limits"].confirming(user.id))
    stored = await state["accounts"].password_hash(user.id)
    if not await state["passwords"].verify(stored, password):
        await audit(request, Event.SIGN_IN_FAILED, user=user, detail="confirm")
        return False
    await state["limits"].confirmed(user.id)
    await state["sessions"].begin(request.scope, user.id, "password", amr=("pwd",))
    await audit(request, Event.CONFIRMED, user=user, detail="password")
    return True
