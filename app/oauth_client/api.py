"""The API of OAuth sign-in."""

from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from app.oauth_client import flow
from app.oauth_client.lifespan import OAuthState
from app.web.body import Body, Target, Text, json_body
from app.web.openapi import ApiRoute, Operation, ResponseModel
from app.web.responses import json_response


class ProviderOption(ResponseModel):
    name: str
    label: str


class Start(Body):
    next: Target | None = None
    invitation: Text | None = None


class Started(ResponseModel):
    url: str


async def list_providers(request: Request[OAuthState]) -> Response:
    return json_response([ProviderOption.model_validate(option) for option in request.state["sign_in_options"]])


async def start(request: Request[OAuthState]) -> Response:
    flow.provider_of(request)
    body = await json_body(request, Start)
    url, cookies = await flow.start(request, body.next, invitation=body.invitation or "")
    response = json_response(Started(url=url))
    response.raw_headers += cookies
    return response


_session = partial(Operation, tag="session")
PROVIDERS = _session("List the providers", list[ProviderOption])
START = _session(
    "Start a sign-in with a provider",
    Started,
    returns="The URL to send the browser to; it returns to `next`, signed in.",
    parameters={"provider": "The provider's name."},
    body=Start,
    problems=[429, 502],
)

routes = [
    ApiRoute("GET", "/api/oauth", list_providers, PROVIDERS, name="list_providers"),
    ApiRoute("POST", "/api/oauth/{provider}/start", start, START, name="start_oauth"),
]
