"""The OpenID provider of the tests and of development gives tokens that can be refreshed, if that is asked for."""

import hashlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from app.oauth_client.models import base64url
from dev.openid import Client, NodeMissing, openid_provider
from tests.helpers.oauth_flow import ProviderBrowser
from tests.helpers.sockets import PATIENCE

HOME = "http://127.0.0.1:8000"
VERIFIER = "v" * 43
CLIENT = Client("openid", "tallygate", "secret")


@pytest.fixture(scope="module", params=[True, False], ids=["offline", "online"])
def offline(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(scope="module")
def issuer(offline: bool) -> Iterator[str]:
    try:
        with openid_provider(CLIENT, [HOME], offline=offline, access_token_seconds=60) as address:
            yield address
    except NodeMissing as missing:
        pytest.skip(str(missing))


async def tokens(issuer: str, **form: str) -> httpx.Response:
    async with httpx.AsyncClient(verify=False, timeout=PATIENCE) as client:
        return await client.post(f"{issuer}/token", data=form, auth=(CLIENT.id, str(CLIENT.secret)))


async def signed_in(issuer: str) -> dict[str, Any]:
    """The answer of the token endpoint."""
    redirect_uri = f"{HOME}/oauth/openid/callback"
    query = {
        "response_type": "code",
        "client_id": CLIENT.id,
        "redirect_uri": redirect_uri,
        "scope": "openid offline_access",
        "code_challenge": base64url(hashlib.sha256(VERIFIER.encode()).digest()),
        "code_challenge_method": "S256",
    }
    async with ProviderBrowser(HOME) as there:
        callback = await there.follow(f"{issuer}/auth?{urlencode(query)}", login="alice", password="x")
    code = parse_qs(urlsplit(callback).query)["code"][0]
    answer = await tokens(
        issuer, grant_type="authorization_code", code=code, redirect_uri=redirect_uri, code_verifier=VERIFIER
    )
    assert answer.status_code == 200, answer.text
    granted: dict[str, Any] = answer.json()
    return granted


async def test_refresh_tokens_are_used_once(issuer: str, offline: bool) -> None:
    granted = await signed_in(issuer)
    assert granted["expires_in"] == 60
    assert ("refresh_token" in granted) is offline
    if offline:
        first = await tokens(issuer, grant_type="refresh_token", refresh_token=granted["refresh_token"])
        assert first.json()["refresh_token"] != granted["refresh_token"]
        again = await tokens(issuer, grant_type="refresh_token", refresh_token=granted["refresh_token"])
        assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
