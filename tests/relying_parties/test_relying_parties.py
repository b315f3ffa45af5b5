"""Relying parties as they are: openid-client, oidc-client-ts, next-auth, Auth.js, Authlib, mod_auth_openidc."""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from authlib.integrations.flask_client import OAuth
from flask import Flask, Response, jsonify

from tests.helpers.sockets import PATIENCE
from tests.relying_parties.conftest import SECRET, Provider, run, sign_in_again

pytestmark = pytest.mark.slow
APACHE = """
ServerRoot {folder}
ServerName 127.0.0.1
Listen 127.0.0.1:{port}
PidFile {folder}/pid
ErrorLog {folder}/error.log
Mutex file:{folder}
{modules}
OIDCProviderMetadataURL {issuer}/.well-known/openid-configuration
OIDCClientID apache
OIDCClientSecret {secret}
OIDCRedirectURI {back}/callback
OIDCCryptoPassphrase {secret}
OIDCPKCEMethod S256
OIDCScope "openid profile"
OIDCRemoteUserClaim preferred_username
OIDCCookieSameSite On
OIDCInfoHook access_token
OIDCRefreshAccessTokenBeforeExpiry 3700
DocumentRoot {folder}/pages
<Location />
  AuthType openid-connect
  Require valid-user
</Location>
"""
MODULES = Path("/usr/lib/apache2/modules")
NEEDED = ("mpm_event", "authn_core", "authz_core", "authz_user", "auth_openidc")


def test_openid_client(provider: Provider, node: str) -> None:
    command = (
        node,
        "openid_client.js",
        provider.issuer,
        "server",
        SECRET,
        f"{provider.back}/callback",
        provider.cookie,
    )
    got = run(*command, rotation=provider.rotation)
    assert got["claims"]["iss"] == provider.issuer
    assert got["user"]["preferred_username"] == "dora"
    assert (got["active"], got["dead"]) == (True, False)
    assert got["pushed"] == got["device"] == got["claims"]["sub"]
    assert got["back"] == f"{provider.back}/callback"
    sign_in_again(provider)


def test_oidc_client_ts(provider: Provider, node: str) -> None:
    arguments = (provider.issuer, "spa", f"{provider.back}/callback", provider.cookie)
    got = run(node, "oidc_client.js", *arguments, rotation=provider.rotation)
    assert got["profile"]["preferred_username"] == "dora"
    assert (got["state"], got["refreshed"]) == ({"page": 7}, True)
    assert len(set(got["kids"])) == 2
    assert got["back"].startswith(f"{provider.back}/callback")
    assert got["refused"] == "invalid_grant"
    sign_in_again(provider)


def test_next_auth(provider: Provider, node: str) -> None:
    arguments = (provider.issuer, "next", SECRET, provider.back, provider.cookie)
    got = run(node, "next_auth.js", *arguments, rotation=provider.rotation)
    dora = {"name": "dora", "email": "dora@example.com"}
    assert got["first"] == got["refreshed"] == got["second"] == dora
    assert (got["rotated"], len(set(got["kids"]))) == (True, 2)
    assert (got["left"], got["there"], got["refused"]) == ({}, 401, "invalid_grant")
    sign_in_again(provider)


def test_auth_js(provider: Provider, node: str) -> None:
    arguments = (provider.issuer, "authjs", SECRET, provider.back, provider.cookie)
    got = run(node, "auth_js.js", *arguments, rotation=provider.rotation)
    dora = {"name": "dora", "email": "dora@example.com"}
    assert got["first"] == got["kept"] == got["second"] == dora
    assert len(set(got["kids"])) == 2
    assert (got["left"], got["back"]) == (None, f"{provider.back}/callback")
    sign_in_again(provider)


def test_authlib_in_flask(provider: Provider) -> None:
    app, refreshed = Flask(__name__), []
    app.secret_key = SECRET
    oauth = OAuth(app)
    oauth.register(
        "tallygate",
        client_id="server",
        client_secret=SECRET,
        server_metadata_url=f"{provider.issuer}/.well-known/openid-configuration",
        client_kwargs={"scope": "openid profile email groups wechat", "code_challenge_method": "S256"},
        update_token=lambda token, **_: refreshed.append(token),
    )

    @app.get("/login")
    def login() -> Any:
        return oauth.tallygate.authorize_redirect(f"{provider.back}/callback")

    @app.get("/callback")
    def callback() -> Response:
        token = oauth.tallygate.authorize_access_token()
        fetched = oauth.tallygate.userinfo(token=token | {"expires_at": 1})
        return jsonify(token["userinfo"] | {"fetched": fetched["sub"], "refresh_token": token["refresh_token"]})

    visitor = app.test_client()
    for _ in range(2):
        back = urlsplit(provider.follow(visitor.get("/login").headers["location"]))
        claims: Any = visitor.get(f"/callback?{back.query}").json
        assert claims["preferred_username"] == "dora"
        assert claims["fetched"] == claims["sub"]
        provider.rotate_keys()
    token = refreshed[-1]
    assert token["refresh_token"] != claims["refresh_token"]


def test_mod_auth_openidc_signs_in_and_out(provider: Provider, tmp_path: Path) -> None:
    with apache(provider, tmp_path), httpx.Client(base_url=provider.back) as visitor:
        asked = visitor.get("/")
        assert asked.status_code == 302
        back = provider.follow(asked.headers["location"])
        assert visitor.get(back).status_code == 302
        page = visitor.get("/")
        assert (page.status_code, page.text) == (200, "hello")
        provider.rotate_keys()
        first = access_token(visitor)
        wait_until(
            lambda: access_token(visitor) != first, "no token was refreshed"
        )  # each request refreshes, see above
        provider.browser.delete("/api/session")
        wait_until(lambda: visitor.get("/").status_code != 200, "the session there has not ended")
    sign_in_again(provider)


def test_mod_auth_openidc_signs_out(provider: Provider, tmp_path: Path) -> None:
    with apache(provider, tmp_path), httpx.Client(base_url=provider.back) as visitor:
        visitor.get(provider.follow(visitor.get("/").headers["location"]))
        leaving = visitor.get("/callback", params={"logout": f"{provider.back}/callback"})
        assert provider.follow(leaving.headers["location"]) == f"{provider.back}/callback"
        assert visitor.get("/").status_code == 302
        assert provider.browser.get("/api/session").status_code == 401
    sign_in_again(provider)


def access_token(visitor: httpx.Client) -> str:
    visitor.get("/")
    return str(visitor.get("/callback", params={"info": "json"}).json()["access_token"])


def wait_until(true: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.2)


@contextmanager
def apache(provider: Provider, folder: Path) -> Iterator[None]:
    program = shutil.which("apache2") or shutil.which("apache2", path="/usr/sbin")
    if program is None or not (MODULES / "mod_auth_openidc.so").exists():
        pytest.skip("mod_auth_openidc is not installed: apt-get install apache2 libapache2-mod-auth-openidc")
    (folder / "pages").mkdir()
    (folder / "pages" / "index.html").write_text("hello")
    modules = "\n".join(
        f"LoadModule {name}_module {MODULES}/mod_{name}.so"
        for name in (*NEEDED, "dir", "mime")
        if (MODULES / f"mod_{name}.so").exists()
    )
    types = "TypesConfig /etc/mime.types\nDirectoryIndex index.html\n"
    config = APACHE.format(
        folder=folder, port=urlsplit(provider.back).port, modules=modules + "\n" + types, issuer=provider.issuer,
        secret=SECRET, back=provider.back,
    )  # fmt: skip
    (folder / "apache.conf").write_text(config)
    with subprocess.Popen([program, "-DFOREGROUND", "-f", str(folder / "apache.conf")]) as running:
        try:
            deadline = time.monotonic() + PATIENCE
            while not answers(provider.back):
                assert running.poll() is None, (folder / "error.log").read_text()
                assert time.monotonic() < deadline, (folder / "error.log").read_text()
                time.sleep(0.1)
            yield
        finally:
            running.terminate()
            running.wait(PATIENCE)


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code < 500
    except httpx.TransportError:
        return False
