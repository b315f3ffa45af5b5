"""A user's API tokens."""

import re
import time
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.accounts.api_tokens.scopes import FEATURES, SCOPES, BadScope, scopes_of
from app.accounts.api_tokens.tokens import DAY, MAX_TOKEN_DAYS, MAX_TOKEN_NAME_LENGTH, TooManyTokens
from app.accounts.asking import Question, ask, named_in_query
from app.accounts.guards import sign_in_required
from app.accounts.helpers import audit, page, redirect_with_message
from app.accounts.lifespan import AccountState
from app.accounts.models import User
from app.accounts.shown_once import redirect_with_secret, shown_secret
from app.accounts.sign_in.reauthentication import confirm
from app.audit.log import Event
from app.web.body import form_fields, form_of
from app.web.errors import BadRequest, NotFound
from app.web.i18n import N_

TOKENS = "/account/tokens"
REVOKE = Question(N_("Revoke the token “%(name)s”?"), N_("Programs that use it are refused at once."), N_("Revoke"))
WEEK = 7 * DAY
"""Seconds before a token's expiry at which the page says so."""


@sign_in_required
async def show_tokens(request: Request[AccountState], user: User) -> Response:
    return await _page(request, user)


@sign_in_required
@confirm(N_("A token lets a program act as you, also after you sign out here."), "/account/tokens")
async def create_token(request: Request[AccountState], user: User) -> Response:
    """`POST /account/tokens` with `name`, `days` (0: for ever) and perhaps `scope`; the page shows the token, once."""
    fields, chosen = await form_fields(request, "name", "days"), (await form_of(request)).getlist("scope")
    name, days = fields["name"].strip(), fields["days"]
    if not name or len(name) > MAX_TOKEN_NAME_LENGTH:
        return await _page(request, user, error=N_("Please enter a name of at most 100 characters."), field="name")
    if not re.fullmatch("[0-9]{1,4}", days) or int(days) > MAX_TOKEN_DAYS:
        return await _page(request, user, error=N_("Please choose the number of days."), field="days")
    try:
        scopes = scopes_of(str(scope) for scope in chosen)
        secret, _ = await request.state["tokens"].create(user.id, name, int(days) * DAY or None, scopes)
    except BadScope:
        raise BadRequest(f"scope: must be one of {', '.join(SCOPES)}", field="scope") from None
    except TooManyTokens:
        return await _page(request, user, error=N_("You have too many tokens: revoke one first."))
    await audit(request, Event.TOKEN_CREATED, user=user, detail=name)
    return await redirect_with_secret(request, user, "/account/tokens", secret)


@sign_in_required
async def ask_to_revoke_token(request: Request[AccountState], user: User) -> Response:
    token = named_in_query(request, await request.state["tokens"].list(user.id), lambda token: token.id)
    return await ask(request, REVOKE, back=TOKENS, name=token.name, fields={"id": token.id})


@sign_in_required
@confirm(REVOKE.effect, TOKENS)
async def revoke_token(request: Request[AccountState], user: User) -> Response:
    """`POST /account/tokens/revoke` with the token's `id`."""
    fields = await form_fields(request, "id")
    if not await request.state["tokens"].revoke(user.id, fields["id"]):
        raise NotFound
    await audit(request, Event.TOKEN_REVOKED, user=user)
    return await redirect_with_message(request, "/account/tokens", N_("The token has been revoked."))


async def _page(request: Request[AccountState], user: User, **mistake: Any) -> Response:
    """`mistake`: the error and its field."""
    return await page(
        request,
        "accounts/tokens.html",
        tokens=await request.state["tokens"].list(user.id),
        features=FEATURES,
        soon=time.time() + WEEK,
        new_token=await shown_secret(request, user),
        **mistake,
    )


routes = [
    Route("/account/tokens", show_tokens, methods=["GET"]),
    Route("/account/tokens", create_token, methods=["POST"]),
    Route("/account/tokens/revoke", ask_to_revoke_token, methods=["GET"]),
    Route("/account/tokens/revoke", revoke_token, methods=["POST"]),
]
