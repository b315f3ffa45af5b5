"""The API of OAuth sign-in."""

from starlette.requests import Request
from starlette.responses import Response

from app.oauth_client import flow
from app.oauth_client.lifespan import OAuthState
from app.web.body import json_fields
from app.web.openapi import TEXT, ApiRoute, Operation, array, nullable, obj
from app.web.responses import json_response


async def list_providers(request: Request[OAuthState]) -> Response:
    """`GET /api/oauth`."""
    return json_response([{"name": each.name, "label": each.label} for each in request.state["sign_in_options"]])


async def start(request: Request[OAuthState]) -> Response:
    """`POST /api/oauth/{provider}/start`."""
    flow.provider_of(request)
    fields = await json_fields(request, {}, {"next": str, "invitation": str})
    url, cookies = await flow.start(request, fields["next"], invitation=fields["invitation"] or "")
    response = json_response({"url": url})
    response.raw_headers += cookies
    return response


PROVIDERS = Operation(
    summary="Who can be signed in with",
    tag="session",
    responses={200: ("The providers.", array(obj(name=TEXT, label=TEXT)))},
)
START = Operation(
    summary="Begin to sign in with a provider",
    tag="session",
    parameters={"provider": "The provider's name."},
    body={
        "type": "object",
        "additionalProperties": False,
        "properties": {"next": nullable(TEXT), "invitation": nullable(TEXT)},
    },
    responses={200: ("Where to send the browser; it comes back to `next`, signed in.", obj(url=TEXT))},
    problems=[403, 404, 413, 502],
)

routes = [
    ApiRoute("GET", "/api/oauth", list_providers, PROVIDERS, name="list_providers"),
    ApiRoute("POST", "/api/oauth/{provider}/start", start, START, name="start_oauth"),
]
