"""Relying parties in Go, as they are: coreos/go-oidc with x/oauth2, and oauth2-proxy."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.helpers.sockets import PATIENCE
from tests.relying_parties.conftest import FOLDER, SECRET, Provider, run, sign_in_again

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("client", ["server", "spa"])
def test_go_oidc(provider: Provider, client: str) -> None:
    go = shutil.which("go")
    if go is None:
        pytest.skip("Go is not installed: https://go.dev/dl")
    secret = SECRET if client == "server" else ""
    redirect_uri = f"{provider.back}/callback"
    arguments = (provider.issuer, client, secret, redirect_uri, provider.cookie)
    got = run(go, "run", ".", *arguments, folder=FOLDER / "go_oidc", rotation=provider.rotation)
    assert (got["nonce"], got["rotated"], got["subject"]) == ("the nonce", True, got["info"])
    assert len(set(got["kids"])) == 2
    assert (got["left"], got["refused"]) == (redirect_uri, "invalid_grant")
    sign_in_again(provider)


def test_oauth2_proxy(provider: Provider) -> None:
    with oauth2_proxy(provider), httpx.Client(base_url=provider.back) as visitor:
        asked = visitor.get("/oauth2/start", params={"rd": "/oauth2/userinfo"})
        assert asked.status_code == 302
        assert visitor.get(provider.follow(asked.headers["location"])).status_code == 302
        user = visitor.get("/oauth2/userinfo").json()
        assert user["email"] == "dora@example.com"
        assert user["groups"] == ["staff"]
        provider.rotate_keys()
        first = signed_in_as(visitor)
        deadline = time.monotonic() + PATIENCE
        while signed_in_as(visitor) == first:  # --cookie-refresh is one second
            assert time.monotonic() < deadline, "no token was refreshed"
            time.sleep(0.5)
        visitor.get("/oauth2/sign_out")  # its server calls --backend-logout-url
        assert visitor.get("/oauth2/auth").status_code == 401
        assert provider.browser.get("/api/session").status_code == 401
        sign_in_again(provider)
        visitor.get(provider.follow(visitor.get("/oauth2/start").headers["location"]))
        assert visitor.get("/oauth2/auth").status_code == 202
        provider.browser.delete("/api/session")
        deadline = time.monotonic() + PATIENCE
        while visitor.get("/oauth2/auth").status_code == 202:
            assert time.monotonic() < deadline, "the session there has not ended"
            time.sleep(0.5)
    sign_in_again(provider)


def signed_in_as(visitor: httpx.Client) -> str:
    response = visitor.get("/oauth2/auth")
    assert response.status_code == 202
    return response.headers["x-auth-request-access-token"]


@contextmanager
def oauth2_proxy(provider: Provider) -> Iterator[None]:
    program = shutil.which("oauth2-proxy")
    if program is None:
        pytest.skip("oauth2-proxy is not installed: go install github.com/oauth2-proxy/oauth2-proxy/v7@v7.15.6")
    arguments = [
        "--provider=oidc", f"--oidc-issuer-url={provider.issuer}", "--client-id=proxy", f"--client-secret={SECRET}",
        f"--redirect-url={provider.back}/oauth2/callback", "--code-challenge-method=S256", "--email-domain=*",
        "--scope=openid profile email groups", "--allowed-group=staff", "--upstream=static://200",
        f"--http-address={provider.back.removeprefix('http://')}", "--cookie-secure=false", "--cookie-refresh=1s",
        "--cookie-secret=0123456789abcdef0123456789abcdef", "--set-xauthrequest", "--pass-access-token",
        "--insecure-oidc-skip-nonce=false",
        f"--backend-logout-url={provider.issuer}/oauth2/end-session?id_token_hint={{id_token}}",
    ]  # fmt: skip
    with subprocess.Popen([program, *arguments]) as running:
        try:
            deadline = time.monotonic() + PATIENCE
            while not listens(provider.back):
                assert running.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
            yield
        finally:
            running.terminate()
            running.wait(PATIENCE)


def listens(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ping", timeout=5).status_code == 200
    except httpx.TransportError:
        return False
