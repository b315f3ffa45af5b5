"""Re-authentication: a page "Confirm it's you" before a sensitive act.

The page is the response to the form. It holds the form's values and asks for a proof, so the browser sends the same
request again with the proof. While the user authenticates at a provider, the form waits in Redis (waiting_forms.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from app.accounts.helpers import audit, page, raise_if_limited, translated, with_limit
from app.accounts.lifespan import S, UserHandler
from app.accounts.models import SignInOption, User
from app.accounts.second_factors.checking import AMR, Method, check_code, relying_party, verified_passkey
from app.accounts.second_factors.passkeys import MAX_CREDENTIAL_LENGTH
from app.audit.log import Event
from app.web.body import form_of, max_length
from app.web.errors import FreshSignInRequired, TooMany, WrongCode
from app.web.i18n import N_
from app.web.negotiate import prefers_json

PREFIX = "confirm_"
"""Names of the page's own fields begin with it."""
PROOFS = frozenset({PREFIX + "password", PREFIX + "code", PREFIX + "passkey"})


@dataclass(frozen=True, slots=True)
class ProofFailure:
    """What is wrong with a proof: the field, without PREFIX, and a sentence, or that there were too many."""

    field: str = ""
    reason: str | None = None
    limited: TooMany | None = None


NO_PROOF = ProofFailure()
"""No proof was sent."""


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
    password, code, passkey = (fields.pop(PREFIX + name, [""])[0] for name in ("password", "code", "passkey"))
    failure: ProofFailure | None = NO_PROOF
    try:
        if passkey:
            failure = await _passkey_failure(request, user, passkey)
        elif password:
            failure = await _password_failure(request, user, password, code)
    except TooMany as limited:
        failure = ProofFailure(limited=limited)
    if failure is None:
        return None
    values = [(name, value) for name, all_of_it in fields.items() for value in all_of_it]
    return await form(request, user, reason, request.url.path, values, back=back, failure=failure)


async def form(
    request: Request[S],
    user: User,
    reason: str,
    action: str,
    values: Sequence[tuple[str, str]],
    *,
    back: str = "/account",
    failure: ProofFailure = NO_PROOF,
) -> Response:
    """The page that asks for a proof."""
    response = await page(
        request,
        "accounts/confirm.html",
        status_code=401,
        error=failure.reason,
        field=failure.field,
        wait=failure.limited.wait if failure.limited is not None else 0,
        reason=translated(request, reason),
        action=action,
        user=user,
        values=values,
        back=back,
        providers=await providers_of(request, user),
        passkeys="passkey" in user.second_factors and relying_party(request).possible,
    )
    return with_limit(request, failure.limited, response) if failure.limited is not None else response


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
        longest = MAX_CREDENTIAL_LENGTH if name == PREFIX + "passkey" else max_length(name)
        if isinstance(value, str) and len(name) <= 64 and len(value) <= longest:
            fields.setdefault(name, []).append(value)
    return {name: value for name, value in fields.items() if name in PROOFS or not name.startswith(PREFIX)}


async def _password_failure(request: Request[S], user: User, password: str, code: str) -> ProofFailure | None:
    """Checks the password, and the code of a user with a second factor. Raises TooMany."""
    state = request.state
    raise_if_limited(await state["limits"].confirming(user.id))
    stored = await state["accounts"].password_hash(user.id)
    if not await state["passwords"].verify(stored, password):
        await audit(request, Event.SIGN_IN_FAILED, user=user, detail="confirm")
        return ProofFailure("password", N_("The password is wrong."))
    method: Method = "password"
    if user.second_factors:
        try:
            method = await check_code(request, user, code)
        except WrongCode as wrong:
            return ProofFailure("code", wrong.detail)
    await state["limits"].confirmed(user.id)
    await _confirmed(request, user, method)
    return None


async def _passkey_failure(request: Request[S], user: User, credential: str) -> ProofFailure | None:
    """Checks the passkey. Raises TooMany."""
    raise_if_limited(await request.state["limits"].confirming(user.id))
    owner, _ = await verified_passkey(request, credential)
    if owner is None or owner.id != user.id:
        return ProofFailure("passkey", N_("This passkey was not accepted."))
    await request.state["limits"].confirmed(user.id)
    await _confirmed(request, user, "passkey")
    return None


async def _confirmed(request: Request[S], user: User, method: Method) -> None:
    await request.state["sessions"].authenticated_again(request.scope, AMR[method])
    await audit(request, Event.CONFIRMED, user=user, detail=method)
