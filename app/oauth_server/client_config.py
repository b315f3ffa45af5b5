"""Reads a client from a table of the TOML file, the API or a registration. Pure."""

import re
from collections.abc import Mapping
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from app.accounts.secret import digest
from app.oauth_server.models import Client
from app.oauth_server.redirect_uris import BadUri, check
from app.oauth_server.scopes import SCOPES

CLIENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,63}")
CHOICES = {
    "id_token_alg": ("ES256", "RS256"),
    "access_token_format": ("opaque", "jwt"),
    "subject": ("public", "pairwise"),
}
FLAGS = ("public", "first_party", "pkce", "device", "introspect", "disabled")
FIELDS = frozenset(
    {"name", "redirect_uris", "scopes", "groups", "jwks", "logout_uri", "post_logout_redirect_uris", *CHOICES, *FLAGS}
)
"""What may be set; `secret` beside them in the TOML file."""
MAX_URIS = 50
MAX_SECRET_LENGTH = 256
MAX_LIST = 100


class BadClient(ValueError):
    """A field is refused; the text says why."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


def client_of(client_id: str, table: Mapping[str, Any], *, any_http: bool = False, **other: Any) -> Client:
    """The client of a table with FIELDS, as the TOML file or the API has it. Raises BadClient."""
    if not CLIENT_ID.fullmatch(client_id):
        raise BadClient("id", "must have 1 to 64 letters, digits or . _ ~ -, and begin with a letter or digit")
    for name in table:
        if name not in FIELDS:
            raise BadClient(str(name)[:64], "there is no such field")
    fields: dict[str, Any] = {name: _flag(table, name) for name in FLAGS if name in table}
    fields |= {name: _choice(table, name) for name in CHOICES if name in table}
    fields["name"] = _text(table, "name") if "name" in table else client_id
    private = fields.get("public", False)
    for name in ("redirect_uris", "post_logout_redirect_uris"):
        fields[name] = tuple(_uri(name, uri, any_http, private) for uri in _texts(table, name, MAX_URIS))
    if table.get("logout_uri"):
        fields["logout_uri"] = _uri("logout_uri", _text(table, "logout_uri", 2000), any_http, private=False)
    if "scopes" in table:
        fields["scopes"] = _scopes(table)
    if table.get("groups") is not None:
        fields["groups"] = _texts(table, "groups", MAX_LIST)
    if table.get("jwks") is not None:
        fields["jwks"] = _jwks(table["jwks"])
    return _whole(Client(id=client_id, **fields, **other))


def _whole(client: Client) -> Client:
    """Checks fields that depend on each other."""
    if not client.redirect_uris and not client.device and not client.introspect:
        raise BadClient("redirect_uris", "must name at least one, unless device or introspect is true")
    if client.public and (client.secrets or client.jwks):
        raise BadClient("public", "a public client has neither a secret nor keys")
    return client


def from_toml(client_id: str, table: Mapping[str, Any], *, any_http: bool = False) -> Client:
    """A client of the TOML file, which holds its secret. Raises BadClient."""
    rest = {name: value for name, value in table.items() if name not in {"secret", "secrets"}}
    secrets = [table["secret"]] if "secret" in table else list(_texts(table, "secrets", 2))
    for secret in secrets:
        if not isinstance(secret, str) or not 16 <= len(secret) <= MAX_SECRET_LENGTH:
            raise BadClient("secret", "must have 16 to 256 characters")
    client = client_of(client_id, rest, any_http=any_http, secrets=tuple(map(digest, secrets)))
    if client.auth == "secret" and not secrets:
        raise BadClient("secret", "is missing (or public = true, or jwks)")
    return client


def to_table(client: Client) -> dict[str, Any]:
    """The client's FIELDS as plain values."""
    table = {name: getattr(client, name) for name in FIELDS}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in table.items()}


def _flag(table: Mapping[str, Any], name: str) -> bool:
    value = table[name]
    if isinstance(value, str) and value.lower() in {"true", "false"}:  # a variable of the environment
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise BadClient(name, "must be true or false")
    return value


def _choice(table: Mapping[str, Any], name: str) -> str:
    value = table[name]
    if value not in CHOICES[name]:
        raise BadClient(name, f"must be {' or '.join(CHOICES[name])}")
    return str(value)


def _text(table: Mapping[str, Any], name: str, most: int = 100) -> str:
    value = table[name]
    if not isinstance(value, str) or not value.strip() or len(value) > most or not value.isprintable():
        raise BadClient(name, f"must be a text of 1 to {most} characters")
    return value.strip()


def _texts(table: Mapping[str, Any], name: str, most: int) -> tuple[str, ...]:
    value = table.get(name)
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)) or not all(
        isinstance(each, str) and 0 < len(each) <= 2000 for each in value
    ):
        raise BadClient(name, "must be a list of texts")
    if len(value) > most:
        raise BadClient(name, f"must have at most {most} entries")
    return tuple(dict.fromkeys(value))


def _uri(name: str, uri: str, any_http: bool, private: bool) -> str:
    try:
        return check(uri, private=private, any_http=any_http)
    except BadUri as bad:
        raise BadClient(name, str(bad)) from None


def _scopes(table: Mapping[str, Any]) -> tuple[str, ...]:
    scopes = _texts(table, "scopes", MAX_LIST)
    unknown = next((scope for scope in scopes if scope not in SCOPES), None)
    if unknown is not None or not scopes:
        raise BadClient("scopes", f"must be some of {', '.join(SCOPES)}")
    return scopes


def _jwks(value: Any) -> Mapping[str, Any]:
    try:
        keys = KeySet.import_key_set(value)
    except (JoseError, ValueError, TypeError, KeyError, AttributeError):
        raise BadClient("jwks", "must be a key set with public keys") from None
    if not keys.keys or any(key.is_private or key.key_type not in {"EC", "RSA", "OKP"} for key in keys.keys):
        raise BadClient("jwks", "must be a key set with public keys")
    return {"keys": [dict(key.as_dict(private=False)) for key in keys.keys]}
