"""Client authentication at token endpoints (RFC 6749, 2.3; OpenID Connect Core 9)."""

import base64
from typing import Literal
from urllib.parse import quote_plus

AuthMethod = Literal["client_secret_basic", "client_secret_post", "none"]


def chosen_method(method: AuthMethod | None, *, secret: str, basic: bool) -> AuthMethod:
    """The method of the settings; otherwise the one that the secret and the metadata suggest."""
    if method is not None:
        return method
    if not secret:
        return "none"
    return "client_secret_basic" if basic else "client_secret_post"


def authenticated(
    form: dict[str, str], method: AuthMethod, client_id: str, secret: str
) -> tuple[dict[str, str], dict[str, str]]:
    """(the form, the headers) of a token request."""
    match method:
        case "client_secret_basic":
            return form, _basic(client_id, secret)
        case "client_secret_post":
            return form | {"client_id": client_id, "client_secret": secret}, {}
        case "none":
            return form | {"client_id": client_id}, {}


def _basic(client_id: str, password: str) -> dict[str, str]:
    """RFC 6749 2.3.1: both are form-encoded before they are joined."""
    pair = f"{quote_plus(client_id)}:{quote_plus(password)}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
