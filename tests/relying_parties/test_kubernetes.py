"""Kubernetes' API server takes ID tokens of a provider behind TLS, by its flags and by its file for authentication."""

import base64
import hashlib
import json
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import yaml

from tests.helpers.authority import make_authority
from tests.helpers.service import Process, process
from tests.helpers.sockets import PATIENCE, free_port
from tests.helpers.valkey import Valkey
from tests.helpers.waiting import until
from tests.kubernetes.cluster import cluster, programs
from tests.relying_parties.conftest import LINK, PASSWORD, rotation

pytestmark = pytest.mark.slow
BACK = "http://localhost:8000"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")


class SecureProvider:
    """A provider behind TLS, and the browser of dora, who is in the group staff."""

    def __init__(self, issuer: str, authority: Path, rotation: list[str]) -> None:
        self.issuer = issuer
        self.authority = authority
        self.browser = httpx.Client(
            base_url=issuer, verify=ssl.create_default_context(cafile=authority), timeout=PATIENCE
        )
        self._rotation = rotation

    def rotate_keys(self) -> None:
        subprocess.run(self._rotation, check=True, timeout=PATIENCE)

    def set_up(self, service: Process) -> None:
        until(lambda: LINK.search(service.output) is not None and "Uvicorn running" in service.output)
        (link,) = LINK.findall(service.output)
        form = {"username": "dora", "password": PASSWORD, "token": link}
        assert self.browser.post("/setup", data=form).status_code == 303
        dora = self.browser.get("/api/session").json()["user"]["id"]
        assert self.browser.patch(f"/api/users/{dora}", json={"groups": ["staff"]}).status_code == 200

    def tokens(self, client: str) -> dict[str, str]:
        """As kubelogin gets them."""
        asked = {
            "client_id": client, "redirect_uri": BACK, "response_type": "code", "code_challenge": CHALLENGE,
            "code_challenge_method": "S256", "scope": "openid profile groups",
        }  # fmt: skip
        back = self.browser.get("/oauth2/authorize", params=asked).headers["location"]
        (code,) = parse_qs(urlsplit(back).query)["code"]
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK, "code_verifier": VERIFIER}
        got = self.browser.post("/oauth2/token", data=form | {"client_id": client})
        assert got.status_code == 200, got.text
        return dict(got.json())


@contextmanager
def secure_provider(folder: Path, store: Valkey) -> Iterator[SecureProvider]:
    make_authority(folder)
    port = free_port()
    public = {"public": True, "first_party": True, "redirect_uris": [BACK], "scopes": ["openid", "profile", "groups"]}
    settings = {
        "redis_url": store.url, "public_url": f"https://localhost:{port}",
        "clients": json.dumps({"kubernetes": public, "other": public}),
    }  # fmt: skip
    tls = ("--ssl-keyfile", str(folder / "key.pem"), "--ssl-certfile", str(folder / "cert.pem"))
    command = ("-m", "uvicorn", "app.main:app", "--host", "127.0.0.1", "--port", str(port), *tls)
    place = folder / "provider"
    with process(place, command=command, **settings) as service:
        provider = SecureProvider(settings["public_url"], folder / "ca.pem", rotation(place, settings))
        with provider.browser:
            provider.set_up(service)
            yield provider


def flags(provider: SecureProvider) -> dict[str, Any]:
    return {
        "oidc_issuer_url": provider.issuer, "oidc_client_id": "kubernetes", "oidc_signing_algs": "ES256",
        "oidc_username_claim": "preferred_username", "oidc_username_prefix": "tallygate:",
        "oidc_groups_claim": "groups", "oidc_groups_prefix": "tallygate:", "oidc_ca_file": provider.authority,
    }  # fmt: skip


def file(provider: SecureProvider) -> dict[str, Any]:
    authority = provider.authority.read_text()
    configuration = {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthenticationConfiguration",
        "jwt": [{
            "issuer": {"url": provider.issuer, "audiences": ["kubernetes"], "certificateAuthority": authority},
            "claimMappings": {
                "username": {"claim": "preferred_username", "prefix": "tallygate:"},
                "groups": {"claim": "groups", "prefix": "tallygate:"},
            },
        }],
    }  # fmt: skip
    path = provider.authority.with_name("authentication.yaml")
    path.write_text(yaml.safe_dump(configuration))
    return {"authentication_config": path}


@pytest.mark.parametrize("way", [flags, file])
def test_an_id_token_is_a_user_of_the_api_server(tmp_path: Path, short_folder: Path, server: Valkey, way: Any) -> None:
    binaries = programs()
    with secure_provider(short_folder, server) as provider, cluster(*binaries, tmp_path, **way(provider)) as admin:
        tokens = provider.tokens("kubernetes")
        dora = admin.of(tokens["id_token"])
        until(lambda: dora.ask("auth", "whoami").returncode == 0)  # it asks for the keys beside its start
        user = json.loads(dora.do("auth", "whoami", "--output", "json"))["status"]["userInfo"]
        assert user["username"] == "tallygate:dora"
        assert "tallygate:staff" in user["groups"]
        assert "forbidden" in dora.ask("get", "namespaces").stderr.lower()
        admin.do("create", "clusterrole", "reader", "--verb=list", "--resource=namespaces")
        admin.do("create", "clusterrolebinding", "staff", "--clusterrole=reader", "--group=tallygate:staff")
        until(lambda: dora.ask("get", "namespaces").returncode == 0)
        for text in (tokens["access_token"], provider.tokens("other")["id_token"], tokens["id_token"][:-3] + "AAA"):
            assert "unauthorized" in admin.of(text).ask("auth", "whoami").stderr.lower()
        provider.rotate_keys()  # a token of the new key is good when the old key set is, by its Cache-Control, too old
        assert dora.ask("auth", "whoami").returncode == 0
