"""OpenID Connect by discovery: Google, Keycloak, Authentik, GitLab and any other."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import structlog

from app.oauth_client.claims import groups_of, lacks, together
from app.oauth_client.client_auth import authenticated, chosen_method
from app.oauth_client.errors import BadCallback, BadProviderResponse, OAuthProblem, Revoked, StaleSignIn
from app.oauth_client.id_token import auth_time_of, check_id_token, check_logout_token
from app.oauth_client.jose import BadToken, UnknownKey, verified, verified_with_secret
from app.oauth_client.metadata import Metadata, may_issue
from app.oauth_client.metadata_cache import MetadataCache
from app.oauth_client.models import AuthRequest, Claims, ExternalProfile, LogoutRequest, Tokens, is_true, picture, text
from app.oauth_client.oidc_settings import OidcSettings
from app.oauth_client.provider import ClientInfo, Provider, ProviderContext
from app.oauth_client.token_response import REFRESH_ERRORS, SIGN_IN_ERRORS, Errors, bearer_token, quotable, tokens_of
from app.sessions.service import REAUTH_WINDOW

DISCOVERY = "/.well-known/openid-configuration"
NAMES = ("preferred_username", "nickname", "name")
MAX_ID_TOKEN_LENGTH = 1 << 20
MAX_HINT_LENGTH = 2048
"""Characters of an ID token in a URL at sign-out; servers refuse long URLs, and the hint is optional."""


CLOCK_SKEW = 60
"""Seconds by which the provider's clock may differ, where it says when the user authenticated."""


class OtherSubject(BadProviderResponse):
    """Userinfo is about another user."""


class Oidc(Provider):
    """An OpenID Connect provider."""

    pkce = True
    nonce = True
    answers_max_age = True
    """Whether an answer without `auth_time` is believed after `max_age`."""

    def __init__(self, name: str, settings: OidcSettings, context: ProviderContext) -> None:
        super().__init__(name, settings, context, label=name.capitalize(), issuer=settings.issuer)
        self._settings = settings
        self._wants_groups = "groups" in settings.scopes or "groups_claim" in settings.model_fields_set
        self.client_id = settings.client_id
        self.form_post = settings.response_mode == "form_post"
        self.reauthenticates = self.answers_max_age or settings.assume_fresh
        self._documents: MetadataCache = context.metadata
        self._private = context.private

    def issues(self, issuer: str) -> bool:
        return may_issue(self.issuer, issuer)

    async def metadata(self) -> Metadata:
        """Raises ProviderUnavailable, BadProviderResponse."""
        url = self._settings.discovery_url or self.issuer.rstrip("/") + DISCOVERY
        return self._read(await self._documents.get(url, self._read))

    async def authorization_url(self, auth_request: AuthRequest, client: ClientInfo) -> str:
        metadata, settings = await self.metadata(), self._settings
        # Core 3.1.2.1: the provider authenticates the user again after an older sign-in, or in any case.
        prompt = " ".join(filter(None, ("login" if auth_request.login else "", settings.default_prompt)))
        query = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": client.redirect_uri,
            "scope": " ".join(settings.scopes),
            **({"response_mode": settings.response_mode} if settings.response_mode else {}),
            **({"prompt": prompt} if prompt else {}),
            **({"max_age": str(REAUTH_WINDOW)} if auth_request.again else {}),
            "state": auth_request.state,
            **({"nonce": auth_request.nonce} if self.nonce else {}),
            **({"code_challenge": auth_request.challenge, "code_challenge_method": "S256"} if self.pkce else {}),
            **settings.authorization_params,
            **self._further(auth_request),
        }
        return _with_query(metadata.authorization_endpoint, query)

    def _further(self, auth_request: AuthRequest) -> dict[str, str]:
        """Parameters of the authorization request that only this provider has."""
        return {}

    def check_claims(self, claims: Claims) -> None:
        """Raises OAuthProblem for users that may not sign in."""

    async def check_answer(self, answer: Mapping[str, str]) -> None:
        """RFC 9207: `iss` must be the provider's; it is required if the metadata announces it."""
        if "iss" not in answer and not (await self.metadata()).sends_iss:
            return
        if "iss" not in answer:
            raise BadCallback("the callback's iss is missing")
        if not self.issues(answer["iss"]):
            raise BadCallback("the callback's iss is another provider's", said=quotable(answer["iss"]))

    async def identify(
        self, auth_request: AuthRequest, answer: Mapping[str, str], client: ClientInfo
    ) -> ExternalProfile:
        form = {"grant_type": "authorization_code", "code": answer["code"], "redirect_uri": client.redirect_uri}
        form |= {"code_verifier": auth_request.verifier} if self.pkce else {}
        answered = await self._token_request(form, SIGN_IN_ERRORS)
        id_token, access_token = text(answered, "id_token", MAX_ID_TOKEN_LENGTH), bearer_token(answered, self.issuer)
        if not id_token:
            raise BadProviderResponse(f"{self.issuer}: the answer lacks an id_token")
        claims = await self._claims(id_token, access_token, nonce=auth_request.nonce if self.nonce else None)
        self.check_claims(claims)
        auth_time = self._auth_time(claims, auth_request)
        claims = await self._completed(claims, access_token)
        return self._profile(claims, answer, self._tokens(answered), auth_time)

    async def refresh(self, tokens: Tokens, subject: str) -> Tokens:
        """OpenID Connect Core 12: an ID token in the response must have the same subject. One that cannot be verified
        is dropped, but the new refresh token is kept: the provider may not accept the old one again.
        """
        form = {"grant_type": "refresh_token", "refresh_token": tokens.refresh_token}
        answered = await self._token_request(form, REFRESH_ERRORS)
        if not text(answered, "access_token", MAX_ID_TOKEN_LENGTH) and not text(answered, "refresh_token", 1 << 16):
            raise BadProviderResponse(f"{self.issuer}: the answer to a refresh has no token")
        claims: Claims = {}
        if id_token := answered.pop("id_token", None):
            try:
                claims = await self._claims(str(id_token), text(answered, "access_token", MAX_ID_TOKEN_LENGTH))
            except OAuthProblem as problem:
                structlog.get_logger("app").warning("an ID token is dropped", provider=self.name, why=problem.why)
            else:
                if claims["sub"] != subject:
                    raise Revoked(f"{self.issuer}: the refreshed ID token is about another sub")
                answered["id_token"] = id_token
        access_token = text(answered, "access_token", MAX_ID_TOKEN_LENGTH)
        groups = await self._groups(claims, access_token, subject, tokens.groups)
        return replace(self._tokens(answered, before=tokens), groups=groups)

    async def _groups(
        self, claims: Claims, access_token: str, subject: str, before: tuple[str, ...]
    ) -> tuple[str, ...]:
        """The groups after a refresh, from userinfo if the ID token has none; as before if neither says anything."""
        endpoint = (await self.metadata()).userinfo_endpoint
        if lacks(claims, {self.groups_claim}) and endpoint and access_token and (before or self._wants_groups):
            try:
                claims = {**claims, **await self._userinfo(endpoint, access_token, subject)}
            except OAuthProblem as problem:
                structlog.get_logger("app").warning("groups are not renewed", provider=self.name, why=problem.why)
                return before
        return groups_of(claims, self.groups_claim) if claims else before

    async def sign_out_url(self, id_token: str, home: str) -> str | None:
        endpoint = (await self.metadata()).end_session_endpoint if self._settings.sign_out_there else ""
        if not endpoint:
            return None
        query = {"client_id": self.client_id, "post_logout_redirect_uri": home}
        query |= {"id_token_hint": id_token} if 0 < len(id_token) <= MAX_HINT_LENGTH else {}
        return _with_query(endpoint, query)

    async def logged_out(self, token: str) -> LogoutRequest:
        try:
            claims = await self.verified(token)
            issuer = (await self.metadata()).issuer_of(claims)
            check_logout_token(claims, issuer=issuer, client_id=self.client_id, now=self._clock())
        except BadToken as bad:
            raise BadCallback(f"{self.issuer}: the logout token {bad}") from None
        return LogoutRequest(text(claims, "jti"), issuer, text(claims, "sub"), text(claims, "sid"))

    async def verified(self, token: str) -> dict[str, Any]:
        """The claims of a token signed by this provider; fetches the keys again if none fits. Raises BadToken."""
        algorithm = self._settings.hmac_algorithm()
        if algorithm is not None:
            return verified_with_secret(token, algorithm, self._settings.secret)
        metadata = await self.metadata()
        key_set = await self._documents.get(metadata.jwks_uri, _check_key_set)
        try:
            claims = verified(token, key_set, only=self._settings.id_token_signed_response_alg)
        except UnknownKey:
            key_set = await self._documents.renewed(metadata.jwks_uri, _check_key_set)
            claims = verified(token, key_set, only=self._settings.id_token_signed_response_alg)
        return verified(token, metadata.keys_for(claims, key_set)) if metadata.many_tenants else claims

    async def _claims(self, id_token: str, access_token: str, nonce: str | None = None) -> dict[str, Any]:
        try:
            claims = await self.verified(id_token)
            issuer = (await self.metadata()).issuer_of(claims)
            check_id_token(
                claims,
                issuer=issuer,
                client_id=self.client_id,
                nonce=nonce,
                access_token=access_token,
                now=self._clock(),
            )
        except BadToken as bad:
            raise BadProviderResponse(f"{self.issuer}: the ID token {bad}", said=bad.said) from None
        return claims

    def _auth_time(self, claims: Claims, auth_request: AuthRequest) -> float:
        """When the user authenticated at the provider; 0 if unknown. Raises StaleSignIn."""
        now = self._clock()
        auth_time = auth_time_of(claims, now=now)
        if not auth_request.again:
            return (auth_time or 0.0) if not self._settings.assume_fresh else now
        if auth_time is None:  # Core 2 demands it after max_age, but not all providers send it
            return now if self.answers_max_age or self._settings.assume_fresh else 0.0
        if auth_time < now - REAUTH_WINDOW - CLOCK_SKEW:
            raise StaleSignIn(f"{self.issuer}: auth_time is {now - auth_time:.0f} s ago, in spite of max_age")
        return max(auth_time, now - REAUTH_WINDOW + CLOCK_SKEW)

    def _tokens(self, answered: Claims, before: Tokens | None = None) -> Tokens:
        return Tokens.of(answered, now=self._clock(), refresh=self._settings.refresh, before=before)

    def _read(self, document: dict[str, Any]) -> Metadata:
        return Metadata.of(document, self.issuer, private=self._private)

    async def _token_request(self, form: dict[str, str], errors: Errors) -> dict[str, Any]:
        metadata, secret = await self.metadata(), await self._secret()
        method = chosen_method(self._settings.token_endpoint_auth_method, secret=secret, basic=metadata.basic)
        form, headers = authenticated(form, method, self.client_id, secret)
        answer = await self._http.post(metadata.token_endpoint, form, headers=headers)
        return tokens_of(answer, form | {"client_secret": secret}, errors)

    async def _secret(self) -> str:
        return self._settings.secret

    async def _completed(self, claims: dict[str, Any], access_token: str) -> dict[str, Any]:
        """The claims with userinfo's, if the ID token lacks some. Raises OAuthProblem if the rule needs those."""
        endpoint = (await self.metadata()).userinfo_endpoint
        needed = self._needed()
        wanted = needed | ({"email"} if "email" in self._settings.scopes else set())
        wanted |= {self.groups_claim} if self._wants_groups else set()
        if not endpoint or not (lacks(claims, wanted) or self._nameless(claims)):
            return claims
        try:
            return together(claims, await self._userinfo(endpoint, access_token, claims["sub"]))
        except OtherSubject:
            raise
        except OAuthProblem as problem:
            if lacks(claims, needed):
                raise
            structlog.get_logger("app").warning("userinfo is left out", provider=self.name, why=problem.why)
            return claims

    def _needed(self) -> set[str]:
        return {*self.rule.claims, *(("email", "email_verified") if self.rule.domains else ())}

    def _nameless(self, claims: Claims) -> bool:
        return "profile" in self._settings.scopes and not any(name in claims for name in NAMES)

    async def _userinfo(self, endpoint: str, access_token: str, subject: str) -> dict[str, Any]:
        answer = await self._http.get(endpoint, headers={"Authorization": f"Bearer {access_token}"})
        if answer.status != 200:
            raise BadProviderResponse(f"{answer.what}: {answer.status}")
        claims = answer.json()
        if "sub" not in claims and claims.get("error"):
            raise BadProviderResponse(f"{answer.what}: {text(claims, 'error', 64)!r}")
        if claims.get("sub") != subject:
            raise OtherSubject(f"{answer.what}: is about another sub")
        return claims

    def verified_email(self, claims: Claims) -> str:
        """The address if the provider has verified it; else empty."""
        assumed = self._settings.assume_email_verified and claims.get("email_verified") is None
        return text(claims, "email") if assumed or is_true(claims.get("email_verified")) else ""

    def _profile(self, claims: Claims, answer: Mapping[str, str], tokens: Tokens, auth_time: float) -> ExternalProfile:
        email = self.verified_email(claims)
        names = (text(claims, "preferred_username"), text(claims, "nickname"), email.partition("@")[0])
        return ExternalProfile(
            issuer=claims["iss"],
            subject=claims["sub"],
            names=tuple(filter(None, (*names, text(claims, "name")))),
            name=text(claims, "name") or text(claims, "preferred_username"),
            email=email or None,
            picture=picture(claims, "picture"),
            claims=claims,
            session=text(claims, "sid"),
            tokens=tokens,
            auth_time=auth_time,
        )


def _check_key_set(document: dict[str, Any]) -> None:
    if not isinstance(document.get("keys"), list):
        raise BadProviderResponse("the key set holds no keys")


def _with_query(endpoint: str, query: Mapping[str, str]) -> str:
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"
