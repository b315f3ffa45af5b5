"""OpenID Connect by discovery: Google, Microsoft, Keycloak, Authentik, GitLab and any other."""

import base64
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote_plus, urlencode

from pydantic import Field, SecretStr, field_validator

from app.oauth_client.addresses import WebAddress
from app.oauth_client.errors import BadCallback, BadProviderResponse, ProviderUnavailable, Revoked
from app.oauth_client.id_token import check_auth_time, check_id_token, check_logout_token
from app.oauth_client.jose import BadToken, UnknownKey, verified
from app.oauth_client.metadata import Metadata
from app.oauth_client.metadata_cache import MetadataCache
from app.oauth_client.models import AuthRequest, Claims, ExternalProfile, LogoutRequest, Tokens, picture, text, token
from app.oauth_client.provider import ClientInfo, Provider, ProviderContext, ProviderSettings, Words
from app.oauth_client.provider_http import ProviderHttp, ProviderResponse
from app.sessions.service import REAUTH_WINDOW

DISCOVERY = "/.well-known/openid-configuration"
NAMES = ("preferred_username", "nickname", "name")
RESTART = frozenset({"invalid_grant"})
"""Errors of a used or expired code: the user has to start again."""


class OidcSettings(ProviderSettings):
    issuer: WebAddress
    client_id: str = Field(min_length=1)
    client_secret: SecretStr | None = Field(None, min_length=1)
    scopes: Words = ("openid", "profile", "email")
    sign_out_there: bool = False
    """Whether sign-out continues at the provider (RP-initiated logout)."""

    @field_validator("scopes")
    @classmethod
    def _openid(cls, scopes: tuple[str, ...]) -> tuple[str, ...]:
        if "openid" not in scopes:
            raise ValueError("must contain openid")
        return scopes


class Oidc(Provider):
    """An OpenID Connect provider."""

    def __init__(self, name: str, settings: OidcSettings, context: ProviderContext) -> None:
        self._settings = settings
        self.name = name
        self.label = settings.label or name.capitalize()
        self.rule = settings.allow
        self.issuer = settings.issuer
        self.client_id = settings.client_id
        self._http: ProviderHttp = context.http
        self._documents: MetadataCache = context.metadata
        self._clock: Callable[[], float] = context.clock
        self._private = context.private

    async def metadata(self) -> Metadata:
        """Raises ProviderUnavailable, BadProviderResponse."""
        return self._read(await self._documents.get(self.issuer.rstrip("/") + DISCOVERY, self._read))

    async def authorization_url(self, auth_request: AuthRequest, client: ClientInfo) -> str:
        endpoint = (await self.metadata()).authorization_endpoint
        query = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": client.redirect_uri,
            "scope": " ".join(self._settings.scopes),
            # Core 11: offline access needs the user's consent.
            **({"prompt": "consent"} if "offline_access" in self._settings.scopes else {}),
            # Core 3.1.2.1: the provider authenticates the user again after an older sign-in.
            **({"max_age": str(REAUTH_WINDOW)} if auth_request.again else {}),
            "state": auth_request.state,
            "nonce": auth_request.nonce,
            "code_challenge": auth_request.challenge,
            "code_challenge_method": "S256",
        }
        return _with_query(endpoint, query)

    async def check_answer(self, answer: Mapping[str, str]) -> None:
        """RFC 9207: `iss` must be the provider's; it is required if the metadata announces it."""
        if "iss" not in answer and not (await self.metadata()).sends_iss:
            return
        if answer.get("iss") != self.issuer:
            raise BadCallback("the callback's iss is missing, or another provider's")

    async def identify(
        self, auth_request: AuthRequest, answer: Mapping[str, str], client: ClientInfo
    ) -> ExternalProfile:
        metadata = await self.metadata()
        answered = await self._exchange(metadata, answer["code"], auth_request.verifier, client.redirect_uri)
        id_token, access_token = text(answered, "id_token", 1 << 20), self._access_token(answered)
        if not id_token:
            raise BadProviderResponse(f"{self.issuer}: the answer lacks an id_token")
        claims = await self._claims(id_token, access_token, nonce=auth_request.nonce, again=auth_request.again)
        if metadata.userinfo_endpoint and self._lacks(claims):
            claims = _together(claims, await self._userinfo(metadata, access_token, claims["sub"]))
        return self._person(claims, self._tokens(answered))

    async def refresh(self, tokens: Tokens, subject: str) -> Tokens:
        """OpenID Connect Core 12: an ID token in the response must have the same subject."""
        form = {"grant_type": "refresh_token", "refresh_token": tokens.refresh_token}
        answer = await self._token_request(await self.metadata(), form)
        if answer.status == 400 and answer.json().get("error") == "invalid_grant":
            raise Revoked(f"{answer.what}: invalid_grant")
        answered = self._granted(answer)
        access_token = self._access_token(answered)
        if id_token := text(answered, "id_token", 1 << 20):
            claims = await self._claims(id_token, access_token)
            if claims["sub"] != subject:
                raise Revoked(f"{answer.what}: is about another sub")
        return self._tokens(answered, before=tokens)

    async def sign_out_url(self, id_token: str, home: str) -> str | None:
        endpoint = (await self.metadata()).end_session_endpoint if self._settings.sign_out_there else ""
        if not endpoint:
            return None
        query = {"client_id": self.client_id, "post_logout_redirect_uri": home}
        query |= {"id_token_hint": id_token} if id_token else {}
        return _with_query(endpoint, query)

    async def logged_out(self, token: str) -> LogoutRequest:
        try:
            claims = await self.verified(token)
            check_logout_token(claims, issuer=self.issuer, client_id=self.client_id, now=self._clock())
        except BadToken as bad:
            raise BadCallback(f"{self.issuer}: the logout token {bad}") from None
        return LogoutRequest(text(claims, "jti"), self.issuer, text(claims, "sub"), text(claims, "sid"))

    def _access_token(self, answered: Claims) -> str:
        access_token = token(answered, "access_token")
        if not access_token or text(answered, "token_type").lower() != "bearer":
            raise BadProviderResponse(f"{self.issuer}: the answer lacks a bearer's access_token")
        return access_token

    async def _claims(
        self, id_token: str, access_token: str, nonce: str | None = None, *, again: bool = False
    ) -> dict[str, Any]:
        try:
            claims = await self.verified(id_token)
            check_id_token(
                claims,
                issuer=self.issuer,
                client_id=self.client_id,
                nonce=nonce,
                access_token=access_token,
                now=self._clock(),
            )
            if again:
                check_auth_time(claims, most=REAUTH_WINDOW, now=self._clock())
        except BadToken as bad:
            raise BadProviderResponse(f"{self.issuer}: the ID token {bad}") from None
        return claims

    def _tokens(self, answered: Claims, before: Tokens | None = None) -> Tokens:
        return Tokens.of(answered, now=self._clock(), refresh=self._settings.refresh, before=before)

    async def verified(self, token: str) -> dict[str, Any]:
        """The claims of a token signed by this provider; refreshes the keys for an unknown one. Raises BadToken."""
        jwks_uri = (await self.metadata()).jwks_uri
        try:
            return verified(token, await self._documents.get(jwks_uri, _check_key_set))
        except UnknownKey:
            return verified(token, await self._documents.renewed(jwks_uri, _check_key_set))

    def _read(self, document: dict[str, Any]) -> Metadata:
        return Metadata.of(document, self.issuer, private=self._private)

    async def _exchange(self, metadata: Metadata, code: str, verifier: str, redirect_uri: str) -> dict[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        return self._granted(await self._token_request(metadata, form))

    async def _token_request(self, metadata: Metadata, form: dict[str, str]) -> ProviderResponse:
        secret = self._settings.client_secret
        if secret is None:
            return await self._http.post(metadata.token_endpoint, form | {"client_id": self.client_id})
        password = secret.get_secret_value()
        if not metadata.basic:
            form |= {"client_id": self.client_id, "client_secret": password}
            return await self._http.post(metadata.token_endpoint, form)
        return await self._http.post(metadata.token_endpoint, form, headers=_basic(self.client_id, password))

    def _granted(self, answer: ProviderResponse) -> dict[str, Any]:
        tokens = answer.json()
        if answer.status == 200:
            return tokens
        why = f"{answer.what}: {answer.status} {text(tokens, 'error', 64)!r}"
        if text(tokens, "error") in RESTART:
            raise BadCallback(why)
        if tokens.get("error") == "temporarily_unavailable":
            raise ProviderUnavailable(why)
        raise BadProviderResponse(why)

    def _lacks(self, claims: Claims) -> bool:
        """Whether the ID token lacks claims that the scopes ask for or the rule needs."""
        wanted = set(self.rule.claims)
        if "email" in self._settings.scopes:
            wanted |= {"email", "email_verified"} if self.rule.domains else {"email"}
        named = "profile" not in self._settings.scopes or any(name in claims for name in NAMES)
        return not named or not wanted <= claims.keys()

    async def _userinfo(self, metadata: Metadata, access_token: str, subject: str) -> dict[str, Any]:
        answer = await self._http.get(metadata.userinfo_endpoint, headers={"Authorization": f"Bearer {access_token}"})
        if answer.status != 200:
            raise BadProviderResponse(f"{answer.what}: {answer.status}")
        claims = answer.json()
        if claims.get("sub") != subject:
            raise BadProviderResponse(f"{answer.what}: is about another sub")
        return claims

    def _person(self, claims: Claims, tokens: Tokens) -> ExternalProfile:
        email = text(claims, "email") if claims.get("email_verified") is True else ""
        names = (text(claims, "preferred_username"), text(claims, "nickname"), email.partition("@")[0])
        return ExternalProfile(
            issuer=self.issuer,
            subject=claims["sub"],
            names=tuple(filter(None, (*names, text(claims, "name")))),
            name=text(claims, "name") or text(claims, "preferred_username"),
            email=email or None,
            picture=picture(claims, "picture"),
            claims=claims,
            session=text(claims, "sid"),
            tokens=tokens,
        )


def _together(claims: Claims, userinfo: Claims) -> dict[str, Any]:
    """Merges the claims: the ID token's win, but `email` and `email_verified` come from the same source."""
    together = {**userinfo, **claims}
    for place in (claims, userinfo):
        if place.keys() >= {"email", "email_verified"}:
            return together | {"email": place["email"], "email_verified": place["email_verified"]}
    return together | {"email_verified": False}


def _check_key_set(document: dict[str, Any]) -> None:
    if not isinstance(document.get("keys"), list):
        raise BadProviderResponse("the key set holds no keys")


def _with_query(endpoint: str, query: dict[str, str]) -> str:
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"


def _basic(client_id: str, password: str) -> dict[str, str]:
    """RFC 6749 2.3.1: both are form-encoded before they are joined."""
    pair = f"{quote_plus(client_id)}:{quote_plus(password)}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
