"""Reads a client from a table of the TOML file, the API or a registration."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from app.accounts.secret import digest
from app.lazy import LazyModule
from app.oauth_server.models import Client
from app.oauth_server.redirect_uris import BadUri, check
from app.oauth_server.scopes import SCOPES
from app.web.body import first_mistake

if TYPE_CHECKING:
    from joserfc import errors, jwk
else:
    errors, jwk = LazyModule("joserfc.errors"), LazyModule("joserfc.jwk")

CLIENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,63}")
MAX_URIS = 50
MAX_SECRET_LENGTH = 256
MAX_LIST = 100


class BadClient(ValueError):
    """A field is invalid; the text is the reason."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


def _name(value: str) -> str:
    if not value.strip() or not value.isprintable():
        raise ValueError("must be a text of 1 to 100 characters")
    return value.strip()


def _unique(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


def _scopes(scopes: tuple[str, ...]) -> tuple[str, ...]:
    if not scopes or not set(scopes) <= SCOPES.keys():
        raise ValueError(f"must be some of {', '.join(SCOPES)}")
    return scopes


def _jwks(value: dict[str, Any] | None) -> dict[str, Any] | None:
    if value is None:
        return None
    try:
        keys = jwk.KeySet.import_key_set(cast(Any, value)).keys
    except (errors.JoseError, ValueError, TypeError, KeyError, AttributeError):
        keys = []
    if not keys or any(not _is_for_signatures(key) or key.is_private for key in keys):
        raise ValueError("must be a key set with public keys for signatures")
    return {"keys": [dict(key.as_dict(private=False)) for key in keys]}


def _is_for_signatures(key: Any) -> bool:
    return key.key_type in {"EC", "RSA"} or (key.key_type == "OKP" and key.curve_name == "Ed25519")


def _flag(value: object) -> object:
    """Accepts texts, which environment variables are."""
    return {"true": True, "false": False}.get(value.lower(), value) if isinstance(value, str) else value


Flag = Annotated[bool, Field(strict=True), BeforeValidator(_flag)]
Texts = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=2000)], ...],
    Field(max_length=MAX_LIST),
    AfterValidator(_unique),
]
Uris = Annotated[Texts, Field(max_length=MAX_URIS)]


class ClientFields(BaseModel):
    """The settings of a client; the TOML file has `secret` as well. The defaults are those of Client."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)
    name: Annotated[str, Field(max_length=100), AfterValidator(_name)] = ""
    redirect_uris: Uris = ()
    post_logout_redirect_uris: Uris = ()
    logout_uri: Annotated[str, Field(max_length=2000)] | None = None
    scopes: Annotated[Texts, AfterValidator(_scopes)] = ()
    groups: Texts | None = None
    jwks: Annotated[dict[str, Any] | None, AfterValidator(_jwks)] = None
    public: Flag = False
    first_party: Flag = False
    pkce: Flag = True
    device: Flag = False
    introspect: Flag = False
    disabled: Flag = False
    id_token_alg: Literal["ES256", "RS256"] = "ES256"  # noqa: S105 - an algorithm
    access_token_format: Literal["opaque", "jwt"] = "opaque"  # noqa: S105 - a format
    subject: Literal["public", "pairwise"] = "public"


def client_of(client_id: str, table: Mapping[str, Any], *, any_http: bool = False, **other: Any) -> Client:
    """The client of a table, as the TOML file or the API has it. Raises BadClient."""
    if not CLIENT_ID.fullmatch(client_id):
        raise BadClient("id", "must have 1 to 64 letters, digits or . _ ~ -, and begin with a letter or digit")
    try:
        fields = ClientFields.model_validate(dict(table))
    except ValidationError as error:
        name, reason = first_mistake(error)
        raise BadClient(name.partition(".")[0], reason) from None
    for name in ("redirect_uris", "post_logout_redirect_uris"):
        for uri in getattr(fields, name):
            _check_uri(name, uri, private=fields.public, any_http=any_http)
    if fields.logout_uri:
        _check_uri("logout_uri", fields.logout_uri, any_http=any_http)
    given = {name: getattr(fields, name) for name in fields.model_fields_set}
    given |= {"name": fields.name or client_id, "logout_uri": fields.logout_uri or None}
    return _whole(Client(id=client_id, **given, **other))


def _whole(client: Client) -> Client:
    """Checks fields that depend on each other."""
    if not client.redirect_uris and not client.device and not client.introspect:
        raise BadClient("redirect_uris", "must name at least one, unless device or introspect is true")
    if client.public and (client.secrets or client.jwks):
        raise BadClient("public", "a public client has neither a secret nor keys")
    if client.subject == "pairwise" and len({urlsplit(uri).hostname for uri in client.redirect_uris}) > 1:
        raise BadClient("subject", "must be public where redirect_uris have several hosts")  # OpenID Connect Core 8.1
    return client


def from_toml(client_id: str, table: Mapping[str, Any], *, any_http: bool = False) -> Client:
    """A client of the TOML file, which holds its secret. Raises BadClient."""
    rest = {name: value for name, value in table.items() if name not in {"secret", "secrets"}}
    secrets = [table["secret"]] if "secret" in table else table.get("secrets", [])
    if not isinstance(secrets, (list, tuple)) or len(secrets) > 2:
        raise BadClient("secrets", "must be a list of one or two texts")
    for secret in secrets:
        if not isinstance(secret, str) or not 16 <= len(secret) <= MAX_SECRET_LENGTH:
            raise BadClient("secret", "must have 16 to 256 characters")
    client = client_of(client_id, rest, any_http=any_http, secrets=tuple(map(digest, secrets)))
    if "secret" in table and "secrets" in table:
        raise BadClient("secrets", "excludes secret")
    if client.jwks and secrets:
        raise BadClient("secret", "excludes jwks")
    if client.auth == "secret" and not secrets:
        raise BadClient("secret", "is missing (or public = true, or jwks)")
    return client


def to_table(client: Client) -> dict[str, Any]:
    """The client's ClientFields as plain values."""
    return {name: getattr(client, name) for name in ClientFields.model_fields}


def _check_uri(name: str, uri: str, *, any_http: bool, private: bool = False) -> None:
    try:
        check(uri, private=private, any_http=any_http)
    except BadUri as bad:
        raise BadClient(name, str(bad)) from None
