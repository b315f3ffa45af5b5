"""What does a whole sign-in cost? `python -m bench.sign_ins`: authorize with a session, the code, the tokens in ES256;
beside npm `oidc-provider`, which keeps everything in its own memory, in the same run.

It needs Node.js, and `npm ci` in dev/oidc_provider.
"""

import base64
import hashlib
import json
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx

from bench.arena import Server, arena
from bench.command import run
from bench.contestants import TALLYGATE_SESSION, Contestant
from bench.machine import ROOT

SIGN_INS, WARM_UPS, ROUNDS = 300, 30, 3
SECRET, VERIFIER, BACK = "a-secret-of-the-bench", "v" * 43, "https://app.example.com/callback"
CLIENT = {"secret": SECRET, "redirect_uris": [BACK], "first_party": True}
PROVIDER = replace(
    TALLYGATE_SESSION,
    name="tallygate-provider",
    environment={
        "TALLYGATE_PUBLIC_URL": "http://127.0.0.1:{port}",
        "TALLYGATE_CLIENTS": json.dumps({"app": CLIENT}).replace("{", "{{").replace("}", "}}"),
    },
)
OPPONENT = Contestant(
    "oidc-provider", f"node {ROOT}/bench/peers/oidc_provider.js {{port}} {SECRET} {BACK}", path="/jwks"
)


class RelyingParty:
    """A client, and the browser of a user who is signed in, or soon is."""

    def __init__(self, server: Server) -> None:
        origin = server.url.removesuffix(server.contestant.path)
        self._browser, self._client = httpx.Client(headers=dict(server.headers)), httpx.Client()
        known = self._client.get(f"{origin}/.well-known/openid-configuration").json()
        self._authorize, self._token = known["authorization_endpoint"], known["token_endpoint"]

    def sign_in(self) -> Any:
        """The answer of the token endpoint."""
        query = {
            "client_id": "app", "redirect_uri": BACK, "response_type": "code", "scope": "openid profile",
            "code_challenge": base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("="),
            "code_challenge_method": "S256",
        }  # fmt: skip
        there = f"{self._authorize}?{httpx.QueryParams(query)}"
        while not there.startswith(BACK):
            there = urljoin(there, self._browser.get(there).headers["location"])
        form = {
            "grant_type": "authorization_code", "code": parse_qs(urlsplit(there).query)["code"][0],
            "redirect_uri": BACK, "code_verifier": VERIFIER,
        }  # fmt: skip
        response = self._client.post(self._token, data=form, auth=("app", SECRET))
        response.raise_for_status()
        return response.json()


def main() -> int:
    """Print the CPU of a sign-in, of each in turn."""
    with arena() as place:
        for _ in range(ROUNDS):
            spent = {}
            for contestant in (PROVIDER, OPPONENT):
                with place.serve(contestant) as server:
                    spent[contestant.name] = _measure(server)
            ours, theirs = spent.values()
            print(f"Tallygate {ours:.2f} ms, oidc-provider {theirs:.2f} ms: {theirs / ours:.1f} times as many a second")
    return 0


def _measure(server: Server) -> float:
    """Milliseconds of the server's CPU that a sign-in takes."""
    party = RelyingParty(server)
    for _ in range(WARM_UPS):
        party.sign_in()
    before = server.process.usage().cpu
    for _ in range(SIGN_INS):
        party.sign_in()
    return (server.process.usage().cpu - before) / SIGN_INS * 1e3


if __name__ == "__main__":
    run(main)
