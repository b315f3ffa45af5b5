"""Scopes of API tokens. Pure.

`read` and `write` are for everything; `sites:read`, `sites:write` for one feature. `write` includes `read`. A token
without scopes may do everything: tokens had none before there were scopes.
"""

from collections.abc import Iterable

FEATURES = (
    "account", "audit", "clients", "config", "events", "gateway", "groups", "invitations", "services", "sites", "users",
    "visits", "webhooks", "wechat",
)  # fmt: skip
"""The first part of a path below `/api/`; `gateway` is for protected sites."""
SCOPES = ("read", "write", *(f"{feature}:{right}" for feature in FEATURES for right in ("read", "write")))
READ_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class BadScope(ValueError):
    """The text is no scope."""


def scopes_of(names: Iterable[str]) -> tuple[str, ...]:
    """The scopes in their order, each once. Raises BadScope."""
    wanted = set(names)
    for name in sorted(wanted):
        if name not in SCOPES:
            raise BadScope(name)
    return tuple(scope for scope in SCOPES if scope in wanted)


def allowed(scopes: Iterable[str], feature: str, *, write: bool) -> bool:
    """Whether one of the scopes allows it; none at all allow everything."""
    given = frozenset(scopes)
    rights = ("write",) if write else ("read", "write")
    return not given or any(right in given or f"{feature}:{right}" in given for right in rights)


def needed(method: str, path: str) -> tuple[str, bool]:
    """(the feature, whether it is written to) of a request."""
    parts = path.split("/")
    feature = parts[2] if len(parts) > 2 else ""
    return ("account" if feature == "session" else feature), method not in READ_METHODS
