"""What tests of the OpenID provider share: clients, and a relying party that walks through a sign-in."""

import base64
import hashlib
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from app.settings import Settings
from tests.helpers.cast import Cast, make_cast
from tests.helpers.clock import Clock
from tests.helpers.service import Running, running

SECRET = "a-secret-of-unreserved-characters"
BACK = "https://app.example.com/callback"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")


def clients() -> dict[str, dict[str, Any]]:
    app = {"name": "App", "redirect_uris": [BACK], "secret": SECRET, "first_party": True}
    scopes = ["openid", "profile", "email", "groups", "offline_access"]
    return {
        "app": app | {"scopes": scopes, "post_logout_redirect_uris": ["https://app.example.com/"]},
        "other": app | {"redirect_uris": ["https://other.example.com/callback"]},
        "asks": app | {"first_party": False},
        "staff": app | {"groups": ["staff"]},
        "old": app | {"pkce": False, "id_token_alg": "RS256"},
        "older": app | {"pkce": False, "redirect_uris": [BACK, f"{BACK}/2"]},
        "jwt": app | {"access_token_format": "jwt"},
        "private": app | {"subject": "pairwise"},
        "discreet": app | {"subject": "pairwise", "redirect_uris": ["https://other.example.com/callback"]},
        "both": app | {"device": True},
        "tv": {"name": "Television", "secret": SECRET, "device": True},
        "tv2": {"secret": SECRET, "device": True},
        "gateway": {"secret": SECRET, "introspect": True},
        "native": {"public": True, "redirect_uris": ["com.example.app:/cb"]},
        "spa": {"public": True, "redirect_uris": ["http://127.0.0.1:1234/cb"], "first_party": True},
    }


class RelyingParty:
    """A client of the provider, and the browser of its user."""

    def __init__(self, browser: httpx.AsyncClient, client: str = "app", back: str = BACK) -> None:
        self.browser = browser
        self.client = client
        self.back = back

    async def authorize(self, **changes: Any) -> httpx.Response:
        parameters = {
            "client_id": self.client, "redirect_uri": self.back, "response_type": "code", "state": "s t&ate",
            "scope": "openid profile email", "nonce": "n", "code_challenge": CHALLENGE, "code_challenge_method": "S256",
        } | changes  # fmt: skip
        query = {name: value for name, value in parameters.items() if value is not None}
        return await self.browser.get("/oauth2/authorize", params=query)

    async def code(self, **changes: Any) -> str:
        return str(answer(await self.authorize(**changes))["code"])

    async def token(self, **parameters: Any) -> httpx.Response:
        return await self.browser.post("/oauth2/token", data=parameters, auth=(self.client, SECRET))

    async def redeem(self, code: str, **changes: Any) -> httpx.Response:
        parameters = {"grant_type": "authorization_code", "code": code, "redirect_uri": self.back} | changes
        return await self.token(**{"code_verifier": VERIFIER} | parameters)

    async def sign_in(self, **changes: Any) -> dict[str, Any]:
        response = await self.redeem(await self.code(**changes))
        assert response.status_code == 200, response.text
        return dict(response.json())

    async def refresh(self, refresh_token: str, **changes: Any) -> httpx.Response:
        return await self.token(grant_type="refresh_token", refresh_token=refresh_token, **changes)

    async def userinfo(self, access_token: str) -> httpx.Response:
        return await self.browser.get("/oauth2/userinfo", headers={"Authorization": f"Bearer {access_token}"})


def answer(response: httpx.Response) -> dict[str, str]:
    """The parameters of an authorization response."""
    assert response.status_code == 303, response.text
    return {name: value for name, (value,) in parse_qs(urlsplit(response.headers["location"]).query).items()}


@pytest.fixture
async def service(make_settings: Callable[..., Settings], clock: Clock) -> AsyncIterator[Running]:
    async with running(make_settings(public_url="http://tallygate.test", clients=clients()), clock) as service:
        yield service


@pytest.fixture
async def cast(service: Running) -> Cast:
    return await make_cast(service)
