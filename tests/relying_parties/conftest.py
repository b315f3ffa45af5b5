"""A provider at a real socket, with a signed-in user, for relying parties that nobody here wrote."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.helpers.service import process
from tests.helpers.sockets import free_ports
from tests.helpers.valkey import Valkey

FOLDER = Path(__file__).parent
PASSWORD = "paper lantern over the river"
SECRET = "a-secret-of-unreserved-characters"


@dataclass(frozen=True, slots=True)
class Provider:
    """`back` is where relying parties listen, `browser` the user's, with its cookies."""

    issuer: str
    back: str
    browser: httpx.Client

    @property
    def cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.browser.cookies.items())

    def follow(self, address: str) -> str:
        """Where the provider sends the browser."""
        response = self.browser.get(address)
        assert response.status_code == 303, response.text
        return response.headers["location"]


def clients(back: str) -> dict[str, dict[str, Any]]:
    both = {
        "redirect_uris": [f"{back}/callback"], "post_logout_redirect_uris": [f"{back}/callback"], "first_party": True,
        "scopes": ["openid", "profile", "email", "groups", "offline_access"],
    }  # fmt: skip
    return {
        "server": both | {"secret": SECRET, "device": True},
        "spa": both | {"public": True},
        "apache": both | {"secret": SECRET, "logout_uri": f"{back}/callback?logout=backchannel"},
    }


@pytest.fixture(scope="module")
def provider(short_folder: Path, shared_server: Valkey) -> Iterator[Provider]:
    with shared_server.client as store:
        store.flushall()
    port, other = free_ports(2)
    issuer, back = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{other}"
    settings = {"redis_url": shared_server.url, "public_url": issuer, "clients": json.dumps(clients(back))}
    with process(short_folder / "relying", port=str(port), registration="open", **settings) as service:
        service.url()
        with httpx.Client(base_url=issuer) as browser:
            form = {"username": "dora", "password": PASSWORD, "next": "/", "invitation": ""}
            assert browser.post("/sign-up", data=form).status_code == 303
            yield Provider(issuer, back, browser)


@pytest.fixture(scope="module")
def node() -> str:
    """Node.js, for which the packages are installed now."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("Node.js and npm are not installed: apt-get install nodejs npm")
    if not (FOLDER / "node_modules" / ".package-lock.json").exists():
        command = [npm, "ci", "--silent", "--no-audit", "--no-fund", "--fetch-retries=1"]
        try:
            subprocess.run(command, cwd=FOLDER, check=True, timeout=300)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            pytest.skip("npm cannot install openid-client and oidc-client-ts: is the network away?")
    return node


def run(node: str, script: str, *arguments: str) -> Any:
    """What the script printed, as JSON."""
    done = subprocess.run(
        [node, script, *arguments], cwd=FOLDER, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
