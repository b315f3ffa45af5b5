"""The token endpoint: a code, a refresh token or a device code for tokens."""

from starlette.requests import Request
from starlette.responses import Response

from app.accounts.models import User
from app.accounts.secret import digest
from app.oauth_server.device_store import DEVICE_CODE
from app.oauth_server.discovery import DEVICE_GRANT
from app.oauth_server.endpoint import authorization_of, form_parameters, oauth_endpoint, open_routes
from app.oauth_server.errors import OAuthError
from app.oauth_server.lifespan import OAuthServerState, Provider
from app.oauth_server.models import Client, Family
from app.oauth_server.parameters import Parameters, refuse_resource, required
from app.oauth_server.pkce import verifies
from app.oauth_server.scopes import split
from app.oauth_server.tokens import CODE, REFRESH
from app.web.responses import json_response

BAD_GRANT = "the code or token is wrong, expired, used or revoked"


@oauth_endpoint
async def token(request: Request[OAuthServerState]) -> Response:
    provider = request.state["oauth_server"]
    parameters = await form_parameters(request)
    client = await provider.authentication.client(authorization_of(request), parameters)
    refuse_resource(parameters)
    match required(parameters, "grant_type"):
        case "authorization_code":
            return json_response(await _by_code(provider, client, parameters))
        case "refresh_token":
            return json_response(await _by_refresh_token(provider, client, parameters))
        case grant_type if grant_type == DEVICE_GRANT:
            return json_response(await _by_device_code(provider, client, parameters))
        case _:
            raise OAuthError(
                "unsupported_grant_type", f"grant_type must be authorization_code, refresh_token or {DEVICE_GRANT}"
            )


async def _by_code(provider: Provider, client: Client, parameters: Parameters) -> dict[str, object]:
    """A code is valid once: a second use by its client revokes the tokens of the first.

    The answer is made first: if Redis goes away meanwhile, the code has not been used.
    """
    family = await _family(provider, client, required(parameters, "code"), CODE)
    if not family.generation:
        redirect_uri = parameters.get("redirect_uri")
        named = "openid" in family.scopes or len(client.redirect_uris) > 1  # where it could not be left out before
        if redirect_uri is None and family.challenge is None and named:
            raise OAuthError("invalid_request", "redirect_uri is required")  # RFC 6749, 4.1.3: nothing else binds it
        if redirect_uri not in (None, family.redirect_uri):
            raise OAuthError("invalid_grant", "redirect_uri differs from the one of the authorization request")
        _check_verifier(family, parameters.get("code_verifier"))
    user = await _user(provider, family, client)
    answer = await provider.issuing.token_response(family, client, user, client.allowed(family.scopes), 1)
    if not await provider.store.redeem(family):
        raise OAuthError("invalid_grant", BAD_GRANT)
    return answer


async def _by_device_code(provider: Provider, client: Client, parameters: Parameters) -> dict[str, object]:
    """RFC 8628, 3.5. A second use is refused, and does not revoke the tokens of the first: devices poll."""
    if not client.device:
        raise OAuthError("unauthorized_client", "the client may not use the device grant")
    device_code = required(parameters, "device_code")
    if not DEVICE_CODE.fullmatch(device_code):
        raise OAuthError("invalid_grant", BAD_GRANT)
    device_id = digest(device_code)
    device = await provider.devices.get(device_id)
    if device is not None and device.client != client.id:
        raise OAuthError("invalid_grant", BAD_GRANT)
    state, family_id = await provider.devices.poll(device_id)
    match state:
        case "allowed":
            family = await provider.store.family(family_id)
        case "waiting":
            raise OAuthError("authorization_pending", "nobody has entered the code yet")
        case "slow_down":
            raise OAuthError("slow_down", "wait five seconds longer between two polls from now on")
        case "denied":
            raise OAuthError("access_denied", "the user did not agree")
        case _:
            raise OAuthError("expired_token", "the device code is wrong or has expired")
    if family is None or family.generation:
        raise OAuthError("invalid_grant", BAD_GRANT)
    user = await _user(provider, family, client)
    answer = await provider.issuing.token_response(family, client, user, client.allowed(family.scopes), 1)
    if not await provider.store.redeem(family, replayed="keep"):
        raise OAuthError("invalid_grant", BAD_GRANT)
    return answer


def _check_verifier(family: Family, verifier: str | None) -> None:
    if family.challenge is None:
        if verifier is not None:  # the challenge was taken out of the request (RFC 9700, 4.8.2)
            raise OAuthError("invalid_grant", "code_verifier, but there was no code_challenge")
    elif verifier is None or not verifies(verifier, family.challenge):
        raise OAuthError("invalid_grant", "code_verifier is missing or wrong")


async def _by_refresh_token(provider: Provider, client: Client, parameters: Parameters) -> dict[str, object]:
    text = required(parameters, "refresh_token")
    family = await _family(provider, client, text, REFRESH)
    presented = provider.issuing.tokens.read(text)
    scopes = _narrowed(family, client, parameters.get("scope"))
    user = await _user(provider, family, client)
    answer = await provider.issuing.token_response(family, client, user, scopes, family.generation)
    generation = await provider.store.rotate(family, presented.number if presented else 0)
    if not generation:
        raise OAuthError("invalid_grant", BAD_GRANT)
    return answer | {"refresh_token": provider.issuing.tokens.refresh(family.id, generation)}


def _narrowed(family: Family, client: Client, scope: str | None) -> tuple[str, ...]:
    """The scopes of a refresh. Clients may repeat the requested scopes, even if not all were granted."""
    asked = family.scopes if scope is None else split(scope)
    scopes = tuple(each for each in client.allowed(family.scopes) if each in asked)
    if not set(asked) <= {*family.asked, *family.scopes} or not scopes:
        raise OAuthError("invalid_scope", "scope exceeds what was granted")
    return scopes


async def _family(provider: Provider, client: Client, text: str, kind: str) -> Family:
    """The family of a code or refresh token of this client. Raises OAuthError."""
    token = provider.issuing.tokens.read(text)
    find = provider.store.family_of_code if kind == CODE else provider.store.family
    family = await find(token.family) if token is not None and token.kind == kind else None
    if family is None or family.client != client.id or (kind == REFRESH and not family.generation):
        raise OAuthError("invalid_grant", BAD_GRANT)
    return family


async def _user(provider: Provider, family: Family, client: Client) -> User:
    """Checks account, group, session and consent again; revokes the family if one is invalid. Raises OAuthError."""
    user = await provider.issuing.user_of(family, client)
    if user is None or not await provider.issuing.consented(family, client):
        await provider.store.end(family)
        raise OAuthError("invalid_grant", BAD_GRANT)
    return user


routes = open_routes("/oauth2/token", token, "POST")
