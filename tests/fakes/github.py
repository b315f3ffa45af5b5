"""A GitHub that consents at once: its odd habits, such as 200 for errors, are the real one's."""

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.fakes.noted import Asked, Noted, without_gone

PRIMARY = {"email": "octocat@corp.example", "primary": True, "verified": True}


@dataclass
class FakeGitHub(Noted):
    user: dict[str, Any] = field(default_factory=lambda: {"id": 583231, "login": "octocat", "name": "The Octocat"})
    emails: list[dict[str, Any]] = field(default_factory=lambda: [{**PRIMARY, "primary": False}, PRIMARY])
    tokens: dict[str, Any] = field(default_factory=dict)
    callback: dict[str, Any] = field(default_factory=dict)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/login/oauth/authorize", self.noted(self._authorize)),
                Route("/login/oauth/access_token", self.noted(self._token), methods=["POST"]),
                Route("/api/user", self.noted(lambda asked: JSONResponse(without_gone(self.user)))),
                Route("/api/user/emails", self.noted(lambda asked: JSONResponse(self.emails))),
            ]
        )

    def _authorize(self, asked: Asked) -> Response:
        assert asked.query["scope"] == "read:user user:email"
        assert asked.query["code_challenge_method"] == "S256"
        code = secrets.token_hex(10)
        self.codes[code] = asked.query
        answer = without_gone({"code": code, "state": asked.query["state"]} | self.callback)
        return RedirectResponse(f"{asked.query['redirect_uri']}?{urlencode(answer)}")

    def _token(self, asked: Asked) -> Response:
        assert asked.headers["accept"] == "application/json"
        if asked.form["client_secret"] != "hub secret":
            return JSONResponse({"error": "incorrect_client_credentials"})
        tokens = {"access_token": "gho_x", "scope": "read:user,user:email", "token_type": "bearer"}
        if asked.form.get("grant_type") == "refresh_token":
            if asked.form["refresh_token"] != self.tokens.get("refresh_token"):
                return JSONResponse({"error": "bad_refresh_token"})
            return JSONResponse(tokens | self.tokens)
        begun = self.codes.pop(asked.form["code"], None)
        digest = hashlib.sha256(asked.form["code_verifier"].encode()).digest()
        if begun is None or base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != begun["code_challenge"]:
            return JSONResponse({"error": "bad_verification_code"})
        assert asked.form["redirect_uri"] == begun["redirect_uri"]
        return JSONResponse(without_gone(tokens | self.tokens))
