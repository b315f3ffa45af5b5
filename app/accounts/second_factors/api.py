"""The API of second factors: signing in with a passkey, and what the user has."""

from functools import partial
from typing import Annotated, Any

import orjson
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from app.accounts.administration import actions
from app.accounts.api import CurrentUserModel, user_json
from app.accounts.guards import admin_required, fresh_or_token, sign_in_required
from app.accounts.helpers import address_of, raise_if_limited
from app.accounts.lifespan import AccountState
from app.accounts.models import User
from app.accounts.second_factors.checking import SIGN_IN, relying_party
from app.accounts.second_factors.passkeys import sign_in_options
from app.accounts.sign_in import authentication
from app.lazy import imported
from app.web.body import Body, json_body
from app.web.errors import NotFound, WrongPasskey
from app.web.openapi import ApiRoute, Operation, ResponseModel
from app.web.responses import json_response


class PasskeyResponse(Body):
    credential: Annotated[
        dict[str, Any], Field(description="What `navigator.credentials.get` gave, as `toJSON()` writes it.")
    ]
    stay_signed_in: bool = True


class PasskeyModel(ResponseModel):
    id: str
    name: str
    created: float
    used: float
    synced: bool


class SecondFactorsModel(ResponseModel):
    totp: bool
    passkeys: list[PasskeyModel]
    recovery_codes: int
    required: bool


async def passkey_options(request: Request[AccountState]) -> Response:
    raise_if_limited(await request.state["limits"].challenge(address_of(request)))
    await imported("webauthn")
    challenge = await request.state["second_factors"].new_challenge(SIGN_IN)
    return json_response(orjson.loads(sign_in_options(relying_party(request), challenge)))


async def sign_in_with_passkey(request: Request[AccountState]) -> Response:
    body = await json_body(request, PasskeyResponse)
    credential = orjson.dumps(body.credential).decode()
    user = await authentication.sign_in_with_passkey(request, credential, brief=not body.stay_signed_in)
    if user is None:
        raise WrongPasskey
    return json_response({"user": user_json(user)})


@sign_in_required
async def show_second_factors(request: Request[AccountState], user: User) -> Response:
    factors = request.state["second_factors"]
    model = SecondFactorsModel(
        totp="totp" in user.second_factors,
        passkeys=[PasskeyModel.model_validate(one) for one in await factors.passkeys(user.id)],
        recovery_codes=await factors.unused_codes(user.id),
        required=request.state["current_user"].requires_second_factor(user),
    )
    return json_response(model)


@admin_required
async def remove_second_factors(request: Request[AccountState], admin: User) -> Response:
    await fresh_or_token(request, "/admin/users")
    if not await actions.remove_second_factors(request, admin, await actions.subject(request)):
        raise NotFound
    return Response(status_code=204)


_session = partial(Operation, tag="session")
OPTIONS = _session(
    "The options of a sign-in with a passkey, good once for 5 minutes",
    {"type": "object"},
    returns="For `PublicKeyCredential.parseRequestOptionsFromJSON`.",
    problems=[429],
)
PASSKEY = _session(
    "Sign in with a passkey: sets the cookie", CurrentUserModel, body=PasskeyResponse, problems=[401, 429]
)
SHOW = Operation("The user's second factors", SecondFactorsModel, tag="account", guarded=True)
REMOVE = Operation(
    "Remove all second factors of a user who has lost them",
    tag="users",
    parameters={"id": "The user's id."},
    guarded=True,
)

routes = [
    ApiRoute("POST", "/api/session/passkey-options", passkey_options, OPTIONS),
    ApiRoute("POST", "/api/session/passkey", sign_in_with_passkey, PASSKEY),
    ApiRoute("GET", "/api/account/second-factors", show_second_factors, SHOW),
    ApiRoute("DELETE", "/api/users/{id}/second-factors", remove_second_factors, REMOVE),
]
