"""The rate limits of accounts, each a named method that states its rule."""

from typing import Any

from app.settings import Settings
from app.store.rate_limit import RateLimiter, Rule, address_key

SIGN_IN_ACCOUNT = Rule("sign-in-account", 10, 300)
SIGN_IN_KNOWN = Rule("sign-in-known", 10, 300)
SIGN_IN_ADDRESS = Rule("sign-in-address", 50, 300)
SIGN_IN_NOTED = Rule("sign-in-noted", 1, 60)
SIGN_UP = Rule("sign-up", 10, 3600)
SETUP = Rule("setup", 10, 3600)
PASSWORD_CHANGE = Rule("password-change", 10, 3600)
RENAMING = Rule("renaming", 10, 3600)
INVITATION = Rule("invitation", 20, 3600)
PROVIDER_SIGN_IN = Rule("elsewhere", 600, 300)
INVITING = Rule("inviting", 50, 3600)
CONFIRMING = Rule("confirming", 10, 300)
SECOND_FACTOR = Rule("second-factor", 10, 3600)
CHALLENGE = Rule("challenge", 100, 300)
FORGOTTEN = Rule("forgotten", 10, 3600)
FORGOTTEN_MAILS = Rule("forgotten-mails", 10, 3600)
VERIFYING = Rule("verifying", 10, 3600)
NAMES = frozenset(
    rule.name
    for rule in (
        SIGN_IN_ACCOUNT, SIGN_IN_ADDRESS, SIGN_IN_NOTED, SIGN_UP, SETUP, PASSWORD_CHANGE, RENAMING, INVITATION,
        PROVIDER_SIGN_IN, INVITING, CONFIRMING,
        FORGOTTEN, VERIFYING,
    )
)  # fmt: skip
"""The limits that the setting `rate_limits` may change."""


def rate_limit_errors(settings: Settings) -> list[str]:
    return [
        f"rate_limits.{name}: there is no such limit; there are {', '.join(sorted(NAMES))}"
        for name in settings.rate_limits
        if name not in NAMES
    ]


def apply_limits(limiter: RateLimiter, settings: Settings) -> dict[str, Any]:
    """Applies changed limits from the next attempt on. The request state needs none of them."""
    limiter.changed = {name: Rule(name, it.times, it.seconds) for name, it in settings.rate_limits.items()}
    return {}


class RateLimits:
    """Each method spends one try and returns the seconds to wait; 0 when it is allowed. Raises StoreUnavailable."""

    def __init__(self, limiter: RateLimiter) -> None:
        self.limiter = limiter

    async def sign_in(self, name: str, address: str, known_origin: str = "") -> int:
        """10 in 5 minutes for an account (by its compare key, whether it exists or not), 50 from an address.

        A known origin of the account has 10 of its own: strangers cannot use them up.
        """
        return await self.limiter.spend(_account(name, known_origin), (SIGN_IN_ADDRESS, address_key(address)))

    async def signed_in(self, name: str, known_origin: str = "") -> None:
        """After a right password: resets the allowance that was spent, not the address's."""
        await self.limiter.reset(*_account(name, known_origin))

    async def sign_in_noted(self, address: str) -> int:
        """One audit entry a minute for an address: a flood of refused attempts must not fill the audit log."""
        return await self.limiter.spend((SIGN_IN_NOTED, address_key(address)))

    async def sign_up(self, address: str) -> int:
        """10 an hour from an address."""
        return await self.limiter.spend((SIGN_UP, address_key(address)))

    async def setup(self, address: str) -> int:
        """10 an hour from an address."""
        return await self.limiter.spend((SETUP, address_key(address)))

    async def password_change(self, user_id: str) -> int:
        """10 an hour for a user: the browser may be in other hands."""
        return await self.limiter.spend((PASSWORD_CHANGE, user_id))

    async def confirming(self, user_id: str) -> int:
        """10 in 5 minutes for a user: the browser may be in other hands."""
        return await self.limiter.spend((CONFIRMING, user_id))

    async def confirmed(self, user_id: str) -> None:
        """After a right proof: resets the allowance."""
        await self.limiter.reset(CONFIRMING, user_id)

    async def second_factor(self, user_id: str) -> int:
        """10 codes an hour for a user after the right password: codes are short."""
        return await self.limiter.spend((SECOND_FACTOR, user_id))

    async def second_factor_passed(self, user_id: str) -> None:
        """After a right code: resets the allowance."""
        await self.limiter.reset(SECOND_FACTOR, user_id)

    async def passkey(self, address: str) -> int:
        """50 in 5 minutes from an address, together with passwords."""
        return await self.limiter.spend((SIGN_IN_ADDRESS, address_key(address)))

    async def challenge(self, address: str) -> int:
        """100 challenges for passkeys in 5 minutes from an address: Redis keeps each for a while."""
        return await self.limiter.spend((CHALLENGE, address_key(address)))

    async def renaming(self, user_id: str) -> int:
        """10 an hour for a user: each attempt tells whether a name is taken."""
        return await self.limiter.spend((RENAMING, user_id))

    async def invitation(self, secret: str) -> int:
        """20 an hour with one invitation."""
        return await self.limiter.spend((INVITATION, secret))

    async def provider_sign_in(self, address: str) -> int:
        """600 in 5 minutes from an address, which may be an office's: each sends a request to a provider."""
        return await self.limiter.spend((PROVIDER_SIGN_IN, address_key(address)))

    async def inviting(self, user_id: str) -> int:
        """50 invitations an hour by a user."""
        return await self.limiter.spend((INVITING, user_id))

    async def forgotten(self, login: str, address: str) -> int:
        """10 an hour for a name or an e-mail address, whether it exists or not; from an address together with
        passwords.
        """
        return await self.limiter.spend((FORGOTTEN, login), (SIGN_IN_ADDRESS, address_key(address)))

    async def forgotten_mails(self, user_id: str) -> int:
        """10 mails an hour to a user, by name and by address together."""
        return await self.limiter.spend((FORGOTTEN_MAILS, user_id))

    async def verifying(self, user_id: str) -> int:
        """10 mails an hour by a user, who may name anybody's address."""
        return await self.limiter.spend((VERIFYING, user_id))


def _account(name: str, known_origin: str) -> tuple[Rule, str]:
    return (SIGN_IN_KNOWN, known_origin) if known_origin else (SIGN_IN_ACCOUNT, name)
