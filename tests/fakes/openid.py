"""An OpenID provider that consents at once, checks what it is sent, and misbehaves in any way that a test asks for."""

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode

from joserfc import jwk, jws
from starlette.applications import Starlette
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.fakes.noted import Asked, Noted, without_gone
from tests.helpers.sockets import PATIENCE

CLIENT_ID = "tallygate client"
CLIENT_SECRET = "s3cret: of/the+client"
RSA = jwk.RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"})
OTHER_RSA = jwk.RSAKey.generate_key(2048, {"kid": "other", "use": "sig"})
EC = jwk.ECKey.generate_key("P-256", {"kid": "ec", "use": "sig"})
EC384 = jwk.ECKey.generate_key("P-384", {"kid": "ec384", "use": "sig"})
EC521 = jwk.ECKey.generate_key("P-521", {"kid": "ec521", "use": "sig"})
ED = jwk.OKPKey.generate_key("Ed25519", {"kid": "ed", "use": "sig"})
Key = jwk.RSAKey | jwk.ECKey | jwk.OKPKey


@dataclass
class FakeOpenId(Noted):
    """Each attribute is something that a test may change."""

    issuer: str = ""
    user: dict[str, Any] = field(default_factory=lambda: {"sub": "248289761001"})
    now: Callable[[], float] = time.time
    keys: list[Key] = field(default_factory=lambda: [RSA])
    sign_with: Key | None = None
    algorithm: str = "RS256"
    header: dict[str, Any] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] = field(default_factory=dict)
    tokens: dict[str, Any] = field(default_factory=dict)
    callback: dict[str, Any] = field(default_factory=dict)
    id_token: Callable[[str], str] = lambda token: token
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    refresh_tokens: list[str] | None = None
    """All that were given; only the last one is good. None: it gives none."""
    rotates: bool = True
    """Whether each refresh replaces the refresh token."""
    refreshed: dict[str, Any] = field(default_factory=dict)
    pkce: bool = True
    client_auth: Callable[[Asked], object] | None = None
    """Checks a token request's client, where that is not by HTTP Basic."""
    hold: threading.Event | None = None
    """What it waits for before it refreshes."""

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self.noted(self._discovery)),
                Route("/authorize", self.noted(self._authorize)),
                Route("/token", self.noted(self._token), methods=["POST"]),
                Route("/jwks", self.noted(self._jwks)),
                Route("/userinfo", self.noted(self._userinfo)),
            ]
        )

    def reset(self) -> None:
        """As new, at the same address."""
        self.__dict__.update(FakeOpenId(issuer=self.issuer).__dict__)

    def signed(self, claims: dict[str, Any]) -> str:
        """A token of these claims, with whatever is to be wrong with its header and signature."""
        key = self.sign_with or self.keys[0]
        header = {"alg": self.algorithm, "kid": key.kid} | self.header
        header = without_gone(header)
        payload = json.dumps(claims).encode()
        if self.algorithm == "none":
            return f"{_b64(json.dumps(header).encode())}.{_b64(payload)}."
        signing_input = f"{_b64(json.dumps(header).encode())}.{_b64(payload)}"
        if self.algorithm == "HS256":
            return f"{signing_input}.{_b64(hmac.digest(key.as_pem(private=False), signing_input.encode(), 'sha256'))}"
        signature = jws.JWSRegistry.algorithms[self.algorithm].sign(signing_input.encode(), key)
        return f"{signing_input}.{_b64(signature)}"

    def _discovery(self, asked: Asked) -> Response:
        document = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "id_token_signing_alg_values_supported": ["none", "HS256", "RS256", "ES256", "EdDSA"],
            "authorization_response_iss_parameter_supported": True,
        }
        return JSONResponse(without_gone(document | self.metadata))

    def _authorize(self, asked: Asked) -> Response:
        assert asked.query["response_type"] == "code"
        assert asked.query["client_id"] == CLIENT_ID
        assert asked.query.get("code_challenge_method") == ("S256" if self.pkce else None)
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked.query
        answer = {"code": code, "state": asked.query["state"], "iss": self.issuer} | self.callback
        return RedirectResponse(f"{asked.query['redirect_uri']}?{urlencode(without_gone(answer))}")

    def posted(self, callback: str) -> tuple[str, dict[str, str]]:
        """(the address, the form) of the callback with response_mode=form_post."""
        address, _, query = callback.partition("?")
        return address, dict(parse_qsl(query))

    def _token(self, asked: Asked) -> Response:
        if self.client_auth is not None:
            assert self.client_auth(asked)
        else:
            basic = base64.b64decode(asked.headers["authorization"].removeprefix("Basic ")).decode()
            assert [unquote_plus(part) for part in basic.split(":")] == [CLIENT_ID, CLIENT_SECRET]
        if asked.form["grant_type"] == "refresh_token":
            return self._refresh(asked.form["refresh_token"])
        begun = self.codes.pop(asked.form["code"], None)
        verifier = asked.form.get("code_verifier", "").encode()
        if begun is None or (self.pkce and _b64(hashlib.sha256(verifier).digest()) != begun["code_challenge"]):
            return JSONResponse({"error": "invalid_grant"}, 400)
        assert asked.form["redirect_uri"] == begun["redirect_uri"]
        access_token = secrets.token_urlsafe(16)
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "exp": int(self.now()) + 300,
            "iat": int(self.now()),
            "auth_time": int(self.now()),
            **({"nonce": begun["nonce"]} if "nonce" in begun else {}),
            "at_hash": _b64(hashlib.sha256(access_token.encode()).digest()[:16]),
        }
        claims |= {"sub": self.user["sub"]} if self.userinfo else self.user
        tokens = {
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": 300,
            "id_token": self.id_token(self.signed(without_gone(claims | self.claims))),
        }
        return JSONResponse(without_gone(tokens | self._next_refresh_token() | self.tokens))

    def _refresh(self, token: str) -> Response:
        if self.hold is not None:
            assert self.hold.wait(PATIENCE)
        if not self.refresh_tokens or token != self.refresh_tokens[-1]:
            self.refresh_tokens = []  # it was stolen: nothing is good any more (RFC 9700, 4.14.2)
            return JSONResponse({"error": "invalid_grant"}, 400)
        tokens = {"access_token": secrets.token_urlsafe(16), "token_type": "bearer", "expires_in": 300}
        next_token = self._next_refresh_token() if self.rotates else {}
        return JSONResponse(without_gone(tokens | next_token | self.refreshed))

    def _next_refresh_token(self) -> dict[str, str]:
        if self.refresh_tokens is None:
            return {}
        self.refresh_tokens.append(f"refresh-{secrets.token_urlsafe(16)}")
        return {"refresh_token": self.refresh_tokens[-1]}

    def new_id_token(self, **claims: Any) -> str:
        """As it may come with a refresh: without a nonce."""
        now = int(self.now())
        usual = {"iss": self.issuer, "aud": CLIENT_ID, "sub": self.user["sub"], "iat": now, "exp": now + 300}
        return self.signed(without_gone(usual | claims))

    def _jwks(self, asked: Asked) -> Response:
        return JSONResponse({"keys": [key.as_dict(private=False) for key in self.keys]})

    def _userinfo(self, asked: Asked) -> Response:
        assert asked.headers["authorization"].startswith("Bearer ")
        return JSONResponse(without_gone(self.user | self.userinfo))


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
