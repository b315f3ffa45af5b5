"""The claims of a user: those of two sources together, and the groups among them. Pure."""

from typing import Any

from app.oauth_client.models import Claims
from app.oauth_client.rules import claim_of

MAX_GROUPS, MAX_GROUP_LENGTH = 500, 255


def groups_of(claims: Claims, name: str) -> tuple[str, ...]:
    """The groups that a claim names, each once: of a list of texts, or one text. Others and too long ones are not."""
    found = claim_of(claims, name)
    names = found if isinstance(found, list) else [found]
    good = (each for each in names if isinstance(each, str) and 0 < len(each) <= MAX_GROUP_LENGTH)
    return tuple(dict.fromkeys(each for each in good if each.isprintable()))[:MAX_GROUPS]


def together(claims: Claims, userinfo: Claims) -> dict[str, Any]:
    """Merges the claims: the ID token's win, but `email` and `email_verified` come from the same source."""
    together = {**userinfo, **claims}
    for place in (claims, userinfo):
        if place.keys() >= {"email", "email_verified"}:
            return together | {"email": place["email"], "email_verified": place["email_verified"]}
    return together | {"email_verified": None if "email_verified" not in together else False}


def lacks(claims: Claims, names: set[str]) -> bool:
    return any(claim_of(claims, name) is None for name in names)
