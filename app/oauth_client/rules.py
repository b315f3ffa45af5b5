"""The rule of a provider: which of its users may have an account. Pure."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, model_validator

from app.oauth_client.models import Claims, ExternalProfile


def _list(value: object) -> object:
    """Values of a claim: a list, or a text with commas; numbers and booleans as claims may have them."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    values = value if isinstance(value, list | tuple) else [value]
    return [each if isinstance(each, str) else _text(each) for each in values]


def _domains(values: tuple[str, ...]) -> tuple[str, ...]:
    if any(sign in value for value in values for sign in "@*"):
        raise ValueError("a domain has no @ and no *: each stands for itself alone")
    return tuple(value.lower() for value in values)


List = Annotated[tuple[str, ...], BeforeValidator(_list)]


class Rule(BaseModel):
    """Allows all users; or users with a verified address at one of the domains and, for each claim, one of its values.

    Without conditions it allows only invited users.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    everybody: bool = False
    domains: Annotated[List, AfterValidator(_domains)] = ()
    claims: Mapping[str, List] = {}

    @model_validator(mode="before")
    @classmethod
    def _word(cls, value: Any) -> Any:
        match value:
            case "everybody" | "invited":
                return {"everybody": value == "everybody"}
            case str():
                raise ValueError('must be "everybody", "invited" or a table of `domains` and `claims`')
        return value

    def allows(self, profile: ExternalProfile) -> bool:
        """Whether the profile's user may have an account without an invitation."""
        if self.everybody:
            return True
        if not self.domains and not self.claims:
            return False
        if self.domains and _domain(profile.email) not in self.domains:
            return False
        return all(_has(claim_of(profile.claims, name), values) for name, values in self.claims.items())


def _domain(email: str | None) -> str | None:
    """The domain of an address with exactly one @: `a@evil@corp.com` has none."""
    local, _, domain = (email or "").partition("@")
    return domain.lower() if local and domain and "@" not in domain else None


def _has(claim: object, values: tuple[str, ...]) -> bool:
    """Whether a claim, or a member of it where it is a list, is one of the values."""
    members = claim if isinstance(claim, list) else [claim]
    return any(_text(member) in values for member in members)


def claim_of(claims: Claims, name: str) -> object:
    """The claim of this name; otherwise the one that its dots lead to: `realm_access.roles`."""
    if name in claims:
        return claims[name]
    found: object = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _text(value: object) -> str | None:
    """A claim's value as settings spell it: 5, 1.5, true."""
    match value:
        case str():
            return value
        case bool():
            return str(value).lower()
        case int() | float():
            return str(int(value)) if abs(value) < 1e15 and value == int(value) else str(value)
    return None
