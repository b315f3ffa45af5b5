"""The API of accounts."""

from functools import partial
from typing import Annotated, Any, Literal, cast

import orjson
from pydantic import Field, computed_field
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from app.accounts.api_tokens.scopes import SCOPES
from app.accounts.api_tokens.tokens import DAY, MAX_TOKEN_DAYS, MAX_TOKEN_NAME_LENGTH, TooManyTokens
from app.accounts.guards import fresh, sign_in_required, user_of
from app.accounts.helpers import audit
from app.accounts.lifespan import AccountState
from app.accounts.models import User
from app.accounts.pages.devices import device_page, end_session_of
from app.accounts.sign_in import authentication
from app.accounts.sign_in.current_user import api_secret
from app.audit.log import Event
from app.web.body import Body, Text, json_body
from app.web.errors import Conflict, Forbidden, NotFound, WrongPassword
from app.web.fast_path import FastEndpoint, FastResponse, StaticHeaders
from app.web.headers import headers_of
from app.web.i18n import N_
from app.web.openapi import ApiRoute, Operation, Query, ResponseModel
from app.web.responses import json_response


class UserModel(ResponseModel):
    id: str
    name: str
    display_name: str
    email: str
    email_verified: bool
    groups: tuple[str, ...]
    is_admin: bool
    locale: str | None
    created: float


class CurrentUserModel(ResponseModel):
    user: UserModel


class SessionModel(ResponseModel):
    """`how` is the former name of `auth_method`."""

    id: str = Field(validation_alias="key")
    device: str
    address: str
    created: float
    seen: float
    auth_method: str
    auth_time: float
    amr: tuple[str, ...]
    current: bool = False

    @computed_field(json_schema_extra={"deprecated": True})  # type: ignore[prop-decorator]  # as pydantic's manual has it
    @property
    def how(self) -> str:
        return self.auth_method


class TokenModel(ResponseModel):
    id: str
    name: str
    created: float
    expires: float | None
    scopes: tuple[str, ...]
    used: float
    used_from: str


class NewTokenModel(TokenModel):
    token: str


class SignIn(Body):
    username: Text
    password: Text
    code: Annotated[Text, Field(description="Of the authenticator app, or a recovery code.")] | None = None
    stay_signed_in: Annotated[bool, Field(description="If false, the cookie ends with the browser.")] = True


class CreateToken(Body):
    name: Annotated[str, Field(min_length=1, max_length=MAX_TOKEN_NAME_LENGTH, pattern=r"\S")]
    days: Annotated[int, Field(ge=0, le=MAX_TOKEN_DAYS, description="0: never expires.")] | None = None
    scopes: Annotated[
        tuple[Literal[SCOPES], ...],  # type: ignore[valid-type]  # a constant tuple of texts
        Field(max_length=len(SCOPES), strict=False, description="What it may do; none allow everything."),
    ] = ()


MAX_CACHED_RESPONSES = 10_000


class CurrentSession(FastEndpoint):
    """`GET /api/session`: front ends ask it at every page."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[User, bytes]] = {}

    def try_fast(self, scope: Scope) -> FastResponse | None:
        headers = headers_of(scope)
        if b"authorization" in headers:
            return None
        known = cast(AccountState, scope["state"])["current_user"].cached(scope, headers.get(b"cookie", b""))
        return (SESSION_HEAD, self._body(known[0])) if known is not None else None

    async def handle(self, scope: Scope) -> FastResponse:
        return SESSION_HEAD, self._body(await user_of(Request(scope)))

    def _body(self, user: User) -> bytes:
        """The response body, cached until the user changes."""
        kept = self._kept.get(user.id)
        if kept is not None and kept[0] is user:
            return kept[1]
        if len(self._kept) >= MAX_CACHED_RESPONSES:
            self._kept.clear()
        body = orjson.dumps({"user": user_json(user)})
        self._kept[user.id] = (user, body)
        return body


SESSION_HEAD = StaticHeaders(
    (b"content-type", b"application/json"), (b"cache-control", b"no-store"), (b"vary", b"Cookie, Authorization")
)


async def sign_in(request: Request[AccountState]) -> Response:
    body = await json_body(request, SignIn)
    user = await authentication.sign_in(
        request, body.username, body.password, brief=not body.stay_signed_in, code=body.code
    )
    if user is None:
        raise WrongPassword
    return json_response({"user": user_json(user)})


async def sign_out(request: Request[AccountState]) -> Response:
    """`DELETE /api/session`: 204, also without a session."""
    await authentication.sign_out(request)
    return Response(status_code=204)


@sign_in_required
async def account(request: Request[AccountState], user: User) -> Response:
    return json_response(user_json(user))


@sign_in_required
async def list_sessions(request: Request[AccountState], user: User) -> Response:
    found = await device_page(request, user)
    models = [SessionModel.model_validate(each) for each in found.sessions]
    response = json_response([model.model_copy(update={"current": model.id == found.own}) for model in models])
    if found.next is not None:
        response.headers["Link"] = f'</api/account/sessions?offset={found.next}>; rel="next"'
    return response


@sign_in_required
async def end_session(request: Request[AccountState], user: User) -> Response:
    await end_session_of(request, user, request.path_params["id"])
    return Response(status_code=204)


@sign_in_required
async def list_tokens(request: Request[AccountState], user: User) -> Response:
    return json_response([TokenModel.model_validate(token) for token in await request.state["tokens"].list(user.id)])


@sign_in_required
async def create_token(request: Request[AccountState], user: User) -> Response:
    """`POST /api/account/tokens`: the response holds the token, which is never shown again."""
    if api_secret(request.scope) is not None:  # a stolen token could make another that outlives it
        raise Forbidden(N_("A token cannot create tokens: sign in."))
    await fresh(request, "/account/tokens")
    body = await json_body(request, CreateToken)
    name = body.name.strip()
    try:
        secret, token = await request.state["tokens"].create(user.id, name, (body.days or 0) * DAY or None, body.scopes)
    except TooManyTokens:
        raise Conflict(N_("You have too many tokens: revoke one first.")) from None
    await audit(request, Event.TOKEN_CREATED, user=user, detail=name)
    return json_response(NewTokenModel(**TokenModel.model_validate(token).model_dump(), token=secret), 201)


@sign_in_required
async def revoke_token(request: Request[AccountState], user: User) -> Response:
    if not await request.state["tokens"].revoke(user.id, request.path_params["id"]):
        raise NotFound
    await audit(request, Event.TOKEN_REVOKED, user=user)
    return Response(status_code=204)


def user_json(user: User) -> dict[str, Any]:
    return UserModel.model_validate(user).model_dump()


_session = partial(Operation, tag="session")
_account = partial(Operation, tag="account", parameters={"id": "The session's id."}, guarded=True)
_tokens = partial(Operation, tag="tokens", parameters={"id": "The token's id."}, guarded=True)
SIGN_IN = _session(
    "Sign in with a password, and a code if the user has a second factor: sets the cookie",
    CurrentUserModel,
    body=SignIn,
    problems=[401, 429],
)
SIGN_OUT = _session("Sign out")
CURRENT = _session("The signed-in user", CurrentUserModel, guarded=True)
ACCOUNT = _account("The user's account", UserModel)
SESSIONS = _account(
    "The user's sessions, newest first",
    list[SessionModel],
    query={
        "offset": Query(
            "How many sessions to skip: a page has 50, and `Link` names the next one (RFC 8288).",
            {"type": "integer", "minimum": 0, "maximum": 999_999},
        )
    },
)
END_SESSION = _account("End one session")
TOKENS = _tokens("The user's API tokens, newest first", list[TokenModel])
CREATE_TOKEN = _tokens(
    "Create an API token, which is shown once; requires recent authentication",
    NewTokenModel,
    status=201,
    body=CreateToken,
    problems=[409],
)
REVOKE_TOKEN = _tokens("Revoke an API token")

routes = [
    ApiRoute("GET", "/api/session", CurrentSession(), CURRENT, name="current_session"),
    ApiRoute("POST", "/api/session", sign_in, SIGN_IN),
    ApiRoute("DELETE", "/api/session", sign_out, SIGN_OUT),
    ApiRoute("GET", "/api/account", account, ACCOUNT),
    ApiRoute("GET", "/api/account/sessions", list_sessions, SESSIONS),
    ApiRoute("DELETE", "/api/account/sessions/{id}", end_session, END_SESSION),
    ApiRoute("GET", "/api/account/tokens", list_tokens, TOKENS),
    ApiRoute("POST", "/api/account/tokens", create_token, CREATE_TOKEN),
    ApiRoute("DELETE", "/api/account/tokens/{id}", revoke_token, REVOKE_TOKEN),
]
