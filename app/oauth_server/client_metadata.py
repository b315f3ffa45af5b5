"""Client metadata of OpenID Connect and RFC 7591, as tables of `client_of` and back. Pure."""

from collections.abc import Mapping
from typing import Any

from app.oauth_server.client_config import BadClient
from app.oauth_server.models import Client

SCOPES = ("openid", "profile", "email", "offline_access")
"""Scopes of clients that register themselves; an administrator can grant more."""
SECRET_METHODS = ("client_secret_basic", "client_secret_post")
METHODS = (*SECRET_METHODS, "private_key_jwt", "none")
GRANTS = ("authorization_code", "refresh_token")
TEXTS = {"client_name": "name", "id_token_signed_response_alg": "id_token_alg", "subject_type": "subject"}
URIS = {"backchannel_logout_uri": "logout_uri", "post_logout_redirect_uris": "post_logout_redirect_uris"}
UNSUPPORTED = {"jwks_uri": "send jwks", "sector_identifier_uri": "the redirect_uris must have one host"}
THEIRS = {ours: name for name, ours in (TEXTS | URIS).items()} | {"scopes": "scope"}
"""The name in the metadata of each field that has another name in the table."""


def table_of(metadata: dict[str, Any], granted: tuple[str, ...] = ()) -> dict[str, Any]:
    """The table of a registration. Unknown members are ignored (RFC 7591, 2). `granted` are scopes that an
    administrator has granted. Raises BadClient.
    """
    for name, known in (("grant_types", GRANTS), ("response_types", ("code",))):
        value = metadata.get(name, ())
        if not isinstance(value, (list, tuple)) or not all(each in known for each in value):
            raise BadClient(name, f"must be some of {', '.join(known)}")
    for name, instead in UNSUPPORTED.items():
        if name in metadata:
            raise BadClient(name, f"is not supported: {instead}")
    method = metadata.get("token_endpoint_auth_method", SECRET_METHODS[0])
    if method not in METHODS:
        raise BadClient("token_endpoint_auth_method", f"must be one of {', '.join(METHODS)}")
    metadata = {"id_token_signed_response_alg": "RS256"} | metadata  # OpenID Connect Registration, 2
    table: dict[str, Any] = {ours: metadata[name] for name, ours in (TEXTS | URIS).items() if name in metadata}
    table |= {
        "redirect_uris": metadata.get("redirect_uris", ()),
        "public": method == "none",
        "scopes": _scopes(metadata, granted),
    }
    if method == "private_key_jwt":
        if "jwks" not in metadata:
            raise BadClient("jwks", "is required for private_key_jwt")
        table["jwks"] = metadata["jwks"]
    return table


def metadata_of(client: Client) -> dict[str, Any]:
    """The client's metadata, without its secret."""
    methods = {"none": "none", "secret": client.secret_method, "private_key_jwt": "private_key_jwt"}
    metadata: dict[str, Any] = {
        "client_id": client.id,
        "client_id_issued_at": int(client.created),
        "client_name": client.name,
        "redirect_uris": list(client.redirect_uris),
        "token_endpoint_auth_method": methods[client.auth],
        "grant_types": list(GRANTS),
        "response_types": ["code"],
        "scope": " ".join(client.scopes),
        "id_token_signed_response_alg": client.id_token_alg,
        "subject_type": client.subject,
        "post_logout_redirect_uris": list(client.post_logout_redirect_uris),
    }
    optional = {"backchannel_logout_uri": client.logout_uri, "jwks": client.jwks}
    return metadata | {name: value for name, value in optional.items() if value is not None}


def _scopes(metadata: Mapping[str, Any], granted: tuple[str, ...]) -> list[str]:
    scope = metadata.get("scope", "openid profile email")
    if not isinstance(scope, str):
        raise BadClient("scope", "must be a text")
    return [each for each in dict.fromkeys(scope.split()) if each in {*SCOPES, *granted}]
