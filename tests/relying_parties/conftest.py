"""A provider at a real socket, with a signed-in user, for relying parties that nobody here wrote."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.helpers.npm import node_with_packages
from tests.helpers.service import ROOT, process
from tests.helpers.sockets import PATIENCE, free_ports
from tests.helpers.valkey import Valkey
from tests.helpers.waiting import until

LINK = re.compile(r"/setup\?token=(\S+)")
FOLDER = Path(__file__).parent
PASSWORD = "paper lantern over the river"
SECRET = "a-secret-of-unreserved-characters"


@dataclass(frozen=True, slots=True)
class Provider:
    """`back` is where relying parties listen, `browser` the user's, with its cookies; `rotation` is the command that
    makes new keys sign at once.
    """

    issuer: str
    back: str
    browser: httpx.Client
    rotation: list[str]

    @property
    def cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.browser.cookies.items())

    def rotate_keys(self) -> None:
        subprocess.run(self.rotation, check=True, timeout=PATIENCE)

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
        "next": both | {"secret": SECRET, "redirect_uris": [f"{back}/api/auth/callback/tallygate"]},
        "authjs": both | {"secret": SECRET, "redirect_uris": [f"{back}/api/auth/callback/tallygate"]},
        "proxy": both | {"secret": SECRET, "redirect_uris": [f"{back}/oauth2/callback"]},
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
    with process(short_folder / "relying", port=str(port), **settings) as service:
        until(lambda: LINK.search(service.output) is not None)
        found = LINK.search(service.output)
        assert found is not None
        service.url()
        with httpx.Client(base_url=issuer) as browser:
            form = {"username": "dora", "password": PASSWORD, "token": found[1]}
            assert browser.post("/setup", data=form).status_code == 303
            dora = browser.get("/api/session").json()["user"]["id"]
            known = {"email": "dora@example.com", "email_verified": True, "groups": ["staff"]}
            assert browser.patch(f"/api/users/{dora}", json=known).status_code == 200
            yield Provider(issuer, back, browser, rotation(short_folder / "relying", settings))


def rotation(folder: Path, settings: dict[str, str]) -> list[str]:
    variables = [f"TALLYGATE_{name.upper()}={value}" for name, value in settings.items()]
    command = ["env", "-C", str(folder), f"PYTHONPATH={ROOT}", *variables]
    return [*command, sys.executable, "-m", "app", "rotate-keys", "--now"]


@pytest.fixture(scope="module")
def node() -> str:
    return node_with_packages(FOLDER)


def run(*command: str, folder: Path = FOLDER, rotation: list[str] | None = None) -> Any:
    """What the program printed, as JSON."""
    environment = os.environ | {"ROTATE_KEYS": json.dumps(rotation)}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def sign_in_again(provider: Provider) -> None:
    response = provider.browser.post("/api/session", json={"username": "dora", "password": PASSWORD})
    assert response.status_code == 200
