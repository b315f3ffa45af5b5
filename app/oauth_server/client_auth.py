"""Client authentication: none, client_secret_basic, client_secret_post, private_key_jwt (RFC 7523)."""

import base64
import binascii
import hmac
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote_plus

import orjson

from app.accounts.secret import digest
from app.lazy import LazyModule
from app.oauth_server.clients import Clients
from app.oauth_server.errors import InvalidClient, OAuthError
from app.oauth_server.models import Client
from app.oauth_server.parameters import Parameters

if TYPE_CHECKING:
    from joserfc import errors, jwk, jws
else:
    errors, jwk, jws = LazyModule("joserfc.errors"), LazyModule("joserfc.jwk"), LazyModule("joserfc.jws")

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_ALGORITHMS = ["ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "Ed25519"]
AUTHENTICATED = ("token", "par", "device_authorization", "introspect", "revoke")
"""The endpoints below `/oauth2/` that authenticate clients: an assertion may be meant for any of them (RFC 9126, 2)."""
MAX_ASSERTION_LIFETIME = 3600
LEEWAY = 60
MAX_ASSERTION_LENGTH = 8192


class ClientAuthentication:
    """`audiences` are what assertions may be meant for: the issuer and the endpoints."""

    def __init__(self, clients: Clients, audiences: frozenset[str], clock: Callable[[], float]) -> None:
        self._clients = clients
        self._audiences = audiences
        self._clock = clock

    async def client(self, authorization: bytes | None, parameters: Parameters) -> Client:
        """The client that sends the request. Raises OAuthError, StoreUnavailable."""
        basic = _basic(authorization) if authorization is not None else None
        used = [basic is not None, "client_secret" in parameters, "client_assertion" in parameters]
        if sum(used) > 1 and not (basic is not None and basic[1] == "" and sum(used) == 2):
            raise OAuthError("invalid_request", "use one way of client authentication only")
        if "client_assertion" in parameters:
            return await self._by_assertion(parameters)
        client_id, secret = basic or (parameters.get("client_id", ""), parameters.get("client_secret", ""))
        if not client_id:
            raise InvalidClient("client_id is missing")
        if parameters.get("client_id", client_id) != client_id:
            raise OAuthError("invalid_request", "client_id differs from the one in the Authorization header")
        client = await self._clients.find(client_id)
        if client is None or not _is_right(client, secret):
            raise InvalidClient("the client is unknown, or its credentials are wrong")
        return client

    async def _by_assertion(self, parameters: Parameters) -> Client:
        if parameters.get("client_assertion_type") != ASSERTION_TYPE:
            raise OAuthError("invalid_request", f"client_assertion_type must be {ASSERTION_TYPE}")
        assertion = parameters["client_assertion"]
        client = await self._clients.find(str(_unverified(assertion).get("sub", "")))
        if client is None or client.jwks is None or parameters.get("client_id", client.id) != client.id:
            raise InvalidClient("the client is unknown, or its credentials are wrong")
        claims = _verified(assertion, client)
        now, expires = self._clock(), claims.get("exp")
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        if claims.get("iss") != client.id or claims.get("sub") != client.id:
            raise InvalidClient("iss and sub of the assertion must be the client_id")
        if not any(isinstance(each, str) and each in self._audiences for each in audiences):
            raise InvalidClient("aud of the assertion must be the issuer or one of its endpoints")
        if (
            not isinstance(expires, (int, float))
            or not now < expires + LEEWAY <= now + MAX_ASSERTION_LIFETIME + 2 * LEEWAY
        ):
            raise InvalidClient("exp of the assertion is missing, past, or more than an hour ahead")
        if not isinstance(claims.get("nbf", 0), (int, float)) or claims.get("nbf", 0) > now + LEEWAY:
            raise InvalidClient("nbf of the assertion is ahead")
        if not isinstance(claims.get("jti"), str) or not claims["jti"]:
            raise InvalidClient("jti of the assertion is missing")
        if not await self._clients.store.use_assertion(client.id, claims["jti"], int(expires + LEEWAY - now) + 1):
            raise InvalidClient("the assertion was used before")
        return client


def _is_right(client: Client, secret: str) -> bool:
    """Basic may be form-encoded (RFC 6749, 2.3.1) or not, as some libraries have it. A public client sends none, or,
    as Go's library does first, an empty one.
    """
    if client.auth == "none":
        return secret == ""
    if client.auth != "secret" or not secret:
        return False
    given = {digest(secret), digest(unquote_plus(secret))}
    return any(hmac.compare_digest(each, kept) for each in given for kept in client.secrets)


def _basic(authorization: bytes) -> tuple[str, str]:
    scheme, _, encoded = authorization.partition(b" ")
    try:
        if scheme.lower() != b"basic":
            raise ValueError
        client_id, separator, secret = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (ValueError, binascii.Error):
        raise InvalidClient("the Authorization header is no Basic header") from None
    if not separator:
        raise InvalidClient("the Authorization header is no Basic header")
    return unquote_plus(client_id), secret


def _unverified(assertion: str) -> dict[str, Any]:
    try:
        if len(assertion) > MAX_ASSERTION_LENGTH or not assertion.isascii():
            raise ValueError
        payload = assertion.split(".")[1]
        claims = orjson.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, IndexError):
        raise InvalidClient("the assertion is no signed token") from None
    return claims if isinstance(claims, dict) else {}


def _verified(assertion: str, client: Client) -> dict[str, Any]:
    keys = jwk.KeySet.import_key_set(cast(Any, client.jwks))
    try:
        claims = orjson.loads(jws.deserialize_compact(assertion, keys, algorithms=ASSERTION_ALGORITHMS).payload)
    except (errors.JoseError, ValueError, TypeError, LookupError):
        raise InvalidClient("the assertion is not signed with a key of the client") from None
    return claims if isinstance(claims, dict) else {}
