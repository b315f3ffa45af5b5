"""Issues the tokens of families, and validates tokens."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.accounts.lifespan import Accounts
from app.accounts.models import User
from app.oauth_server.clients import Clients
from app.oauth_server.models import Client, Family, Grant
from app.oauth_server.scopes import subject_of, user_claims, wechat_claim
from app.oauth_server.store import OAuthStore
from app.oauth_server.tokens import ACCESS, REFRESH, TokenFormat, at_hash
from app.signing_keys.key_ring import BadToken
from app.signing_keys.signing_keys import SigningKeys

JWT = "jwt"
ID_TOKEN_LIFETIME = 3600
ACCESS_TOKEN_LIFETIME = 3600
JWT_LIFETIME = 600
"""Seconds. Short, because resource servers that verify JWTs themselves do not see revocations."""


@dataclass(frozen=True, slots=True)
class LiveToken:
    """A valid token and its user. `expires` is None for a refresh token."""

    family: Family
    client: Client
    user: User
    scopes: tuple[str, ...]
    issued: int
    expires: int | None


class Issuing:
    """Raises StoreUnavailable when Redis does not answer."""

    def __init__(
        self, issuer: str, store: OAuthStore, clients: Clients, accounts: Accounts, keys: SigningKeys,
        tokens: TokenFormat, clock: Callable[[], float],
    ) -> None:  # fmt: skip
        self.issuer = issuer
        self.tokens = tokens
        self.keys = keys
        self._store = store
        self._clients = clients
        self._accounts = accounts
        self._clock = clock

    async def user_of(self, family: Family, client: Client) -> User | None:
        """The user, if account, group and session of the family are still valid."""
        user = await self._accounts["current_user"].by_id(family.user)
        if user is None or int(family.created) < int(client.created) or not client.may_be_used_by(user.groups):
            return None
        bound = not family.outlives_session(client) and self._accounts["sessions"].revocable
        if bound and await self._session_ended(family.session):
            return None
        return user

    async def refreshed_by(self, text: str) -> Family | None:
        """The family of a current or former refresh token; None for any other text."""
        token = self.tokens.read(text)
        return await self._store.family(token.family) if token is not None and token.kind == REFRESH else None

    async def validate(self, text: str) -> LiveToken | None:
        """The grant behind a token; None if it is not valid."""
        token = self.tokens.read(text)
        if token is None:
            return await self._live_jwt(text) if text.count(".") == 2 else None
        now = self._clock()
        family = await self._store.family(token.family)
        if family is None or not family.generation:
            return None
        if token.kind == ACCESS:
            if now >= token.expires or token.number <= family.not_before:
                return None
            return await self._token(family, token.scopes, token.number, token.expires)
        if token.number != family.generation:
            return None
        return await self._token(family, None, int(family.created), None)

    async def token_response(
        self, family: Family, client: Client, user: User, scopes: tuple[str, ...], generation: int
    ) -> dict[str, Any]:
        """The response of the token endpoint. Only the first ID token has a nonce."""
        # Tokens revoked in this second stay revoked; those issued in it are valid.
        now = max(int(self._clock()), int(family.not_before) + 1)
        narrowed = None if scopes == family.scopes else scopes
        answer: dict[str, Any] = {"token_type": "Bearer", "scope": " ".join(scopes)}
        if client.access_token_format == JWT:
            answer |= {"access_token": await self._jwt(family, client, user, scopes, now), "expires_in": JWT_LIFETIME}
        else:
            access_token = self.tokens.access(family.id, now, now + ACCESS_TOKEN_LIFETIME, narrowed)
            answer |= {"access_token": access_token, "expires_in": ACCESS_TOKEN_LIFETIME}
        answer["refresh_token"] = self.tokens.refresh(family.id, generation)
        if "openid" in scopes:
            answer["id_token"] = await self._id_token(family, client, user, scopes, now, answer["access_token"])
        return answer

    async def claims(self, user: User, client: Client, scopes: tuple[str, ...]) -> dict[str, Any]:
        """The claims about a user, `sub` included."""
        wechat = None
        if "wechat" in scopes:
            identities = await self._accounts["identities"].of_user(user.id)
            found = (wechat_claim(each.subject, each.app, each.app_subject) for each in identities)
            wechat = next((claim for claim in found if claim is not None), None)
        return {"sub": await self.subject(user.id, client), **user_claims(user, scopes, wechat)}

    async def subject(self, user_id: str, client: Client) -> str:
        salt = await self._store.salt() if client.subject == "pairwise" else ""
        return subject_of(user_id, client, salt)

    async def sid(self, sid: str, client: Client) -> str:
        """`sid` as the client gets it: pairwise, too, because it tells else which users of two clients are one."""
        return await self.subject(sid, client)

    async def _id_token(
        self, family: Family, client: Client, user: User, scopes: tuple[str, ...], now: int, access_token: str
    ) -> str:
        claims = await self.claims(user, client, scopes)
        claims |= {"iss": self.issuer, "aud": client.id, "iat": now, "exp": now + ID_TOKEN_LIFETIME}
        claims |= {"sid": await self.sid(family.sid, client), "at_hash": at_hash(access_token)}
        if family.auth_time:
            claims["auth_time"] = int(family.auth_time)
        if family.amr:
            claims["amr"] = list(family.amr)
        if family.nonce is not None:
            claims["nonce"] = family.nonce
        return await self.keys.sign(claims, alg=client.id_token_alg)

    async def _jwt(self, family: Family, client: Client, user: User, scopes: tuple[str, ...], now: int) -> str:
        claims: dict[str, Any] = {
            "iss": self.issuer, "aud": client.id, "client_id": client.id, "iat": now, "exp": now + JWT_LIFETIME,
            "sub": await self.subject(user.id, client), "scope": " ".join(scopes),
            "jti": f"{family.id}.{secrets.token_urlsafe(8)}",
        }  # fmt: skip
        if "groups" in scopes:
            claims["groups"] = list(user.groups)
        return await self.keys.sign(claims, alg=client.id_token_alg, typ="at+jwt")

    async def _live_jwt(self, text: str) -> LiveToken | None:
        try:
            claims = await self.keys.verified(text, "at+jwt")
        except BadToken:
            return None
        family = await self._store.family(str(claims["jti"]).partition(".")[0])
        if family is None or claims["exp"] <= self._clock() or claims["iat"] <= family.not_before:
            return None
        return await self._token(family, tuple(claims["scope"].split()), claims["iat"], claims["exp"])

    async def _token(
        self, family: Family, scopes: tuple[str, ...] | None, issued: int, expires: int | None
    ) -> LiveToken | None:
        client = await self._clients.find(family.client)
        user = await self.user_of(family, client) if client is not None else None
        if client is None or user is None:
            return None
        allowed = client.allowed(family.scopes if scopes is None else scopes)
        return LiveToken(family, client, user, allowed, issued, expires)

    async def _session_ended(self, root: str) -> bool:
        sessions = self._accounts["sessions"]
        return sessions.cached_by_root(root) is None and await sessions.by_root(root) is None

    async def grant(self, user_id: str, client: Client) -> Grant | None:
        """The user's grant, unless it is older than the client: a former client had the same id then."""
        grant = await self._store.grant(user_id, client.id)
        return None if grant is None or grant.last < client.created else grant

    async def consented(self, family: Family, client: Client) -> bool:
        """Whether the user's consent still covers the family's scopes."""
        grant = await self.grant(family.user, client)
        return grant is not None and (client.first_party or set(family.scopes) <= set(grant.scopes))
