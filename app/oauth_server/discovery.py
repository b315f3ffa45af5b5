"""Discovery: the metadata of the provider (OpenID Connect Discovery 1.0, RFC 8414) and its public keys."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from app.oauth_server.client_auth import ASSERTION_ALGORITHMS
from app.oauth_server.endpoint import issuer_of, oauth_endpoint, open_routes
from app.oauth_server.lifespan import OAuthServerState
from app.oauth_server.scopes import CLAIMS, SCOPES
from app.web.responses import json_response

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
AUTHENTICATIONS = ["client_secret_basic", "client_secret_post", "private_key_jwt", "none"]
CACHED = "public, max-age=300"


@oauth_endpoint
async def jwks(request: Request[OAuthServerState]) -> Response:
    return _public(await request.state["signing_keys"].jwks())


@oauth_endpoint
async def discovery(request: Request[OAuthServerState]) -> Response:
    """`GET /.well-known/openid-configuration` and `/.well-known/oauth-authorization-server` (RFC 8414)."""
    return _public(metadata(issuer_of(request)))


def metadata(issuer: str) -> dict[str, Any]:
    endpoints = {
        "authorization_endpoint": "authorize",
        "token_endpoint": "token",
        "userinfo_endpoint": "userinfo",
        "revocation_endpoint": "revoke",
        "introspection_endpoint": "introspect",
        "end_session_endpoint": "end-session",
        "jwks_uri": "jwks.json",
        "pushed_authorization_request_endpoint": "par",
        "device_authorization_endpoint": "device_authorization",
        "registration_endpoint": "register",
    }
    return {
        "issuer": issuer,
        **{name: f"{issuer}/oauth2/{path}" for name, path in endpoints.items()},
        "scopes_supported": list(SCOPES),
        "claims_supported": list(CLAIMS),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "form_post"],
        "grant_types_supported": ["authorization_code", "refresh_token", DEVICE_GRANT],
        "subject_types_supported": ["public", "pairwise"],
        "id_token_signing_alg_values_supported": ["ES256", "RS256"],
        "token_endpoint_auth_methods_supported": AUTHENTICATIONS,
        "token_endpoint_auth_signing_alg_values_supported": ASSERTION_ALGORITHMS,
        "introspection_endpoint_auth_methods_supported": AUTHENTICATIONS[:3],
        "introspection_endpoint_auth_signing_alg_values_supported": ASSERTION_ALGORITHMS,
        "revocation_endpoint_auth_methods_supported": AUTHENTICATIONS,
        "revocation_endpoint_auth_signing_alg_values_supported": ASSERTION_ALGORITHMS,
        "code_challenge_methods_supported": ["S256"],
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
        "require_pushed_authorization_requests": False,
        "authorization_response_iss_parameter_supported": True,
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
    }


def _public(document: Any) -> Response:
    response = json_response(document)
    response.headers["Cache-Control"] = CACHED
    del response.headers["Vary"]
    return response


routes: list[BaseRoute] = [
    *open_routes("/oauth2/jwks.json", jwks, "GET"),
    *open_routes("/.well-known/jwks.json", jwks, "GET"),
    *open_routes("/.well-known/openid-configuration", discovery, "GET"),
    *open_routes("/.well-known/oauth-authorization-server", discovery, "GET"),
]
