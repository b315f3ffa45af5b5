"""Scopes and the claims that they give. Pure."""

import hashlib
from typing import Any
from urllib.parse import urlsplit

from app.accounts.models import User
from app.oauth_server.errors import OAuthError
from app.oauth_server.models import Client
from app.web.i18n import N_

SCOPES = {
    "openid": N_("Verify your identity"),
    "profile": N_("See your name and language"),
    "email": N_("See your e-mail address"),
    "groups": N_("See which groups you are in"),
    "wechat": N_("See your WeChat identity"),
    "offline_access": N_("Keep access while you are not signed in"),
}
"""All scopes, each with its sentence on the consent page."""
CLAIMS = (
    "sub", "iss", "aud", "exp", "iat", "auth_time", "amr", "sid", "nonce", "at_hash",
    "name", "preferred_username", "locale", "email", "email_verified", "groups", "wechat",
)  # fmt: skip


def split(scope: str | None) -> tuple[str, ...]:
    """The scopes of a parameter, each once, in their order."""
    return tuple(dict.fromkeys((scope or "").split(" "))) if scope else ()


def allowed_scopes(client: Client, scope: str | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(the allowed scopes of a request, the requested ones). Raises OAuthError."""
    asked = split(scope)
    scopes = tuple(each for each in asked if each in SCOPES and each in client.scopes)
    if not scopes:
        raise OAuthError("invalid_scope", f"scope must name some of: {' '.join(client.scopes)}")
    return scopes, asked


def user_claims(user: User, scopes: tuple[str, ...], wechat: dict[str, str] | None = None) -> dict[str, Any]:
    """The user's claims for the scopes; unknown values are omitted."""
    claims: dict[str, Any] = {}
    if "profile" in scopes:
        claims |= {"name": user.label, "preferred_username": user.name}
        if user.locale:
            claims["locale"] = user.locale
    if "email" in scopes and user.email:
        claims |= {"email": user.email, "email_verified": user.email_verified}
    if "groups" in scopes:
        claims["groups"] = list(user.groups)
    if "wechat" in scopes and wechat:
        claims["wechat"] = wechat
    return claims


def subject_of(user_id: str, client: Client, salt: str) -> str:
    """`sub`: the user's id, or a pseudonym for the client's host (OpenID Connect Core 8.1)."""
    if client.subject == "public":
        return user_id
    sector = (urlsplit(client.redirect_uris[0]).hostname if client.redirect_uris else None) or client.id
    return hashlib.sha256(f"{sector}\n{user_id}\n{salt}".encode()).hexdigest()


def wechat_claim(subject: str, account: str, openid: str) -> dict[str, str] | None:
    """The claim of a WeChat identity, whose subject is `unionid:<id>` where WeChat gives one; None for any other.

    `account` is that of the last sign-in with WeChat, `openid` is the user's there.
    """
    if not openid:
        return None
    kind, _, unionid = subject.partition(":")
    return {"openid": openid, "account": account} | ({"unionid": unionid} if kind == "unionid" else {})
