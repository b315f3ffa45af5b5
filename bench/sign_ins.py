"""What does a whole sign-in cost? `python -m bench.sign_ins`: authorize with a session, the code, the tokens in ES256;
beside npm `oidc-provider`, which keeps everything in its own memory, in the same run.

Both get the same two requests, need PKCE and a client secret, ask nothing, and answer with an ID token in ES256, an
opaque access token and a refresh token. They are measured one sign-in after another, and with 64 connections at once.

It needs wrk, Node.js, and `npm ci` in dev/oidc_provider.
"""

import base64
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import httpx

from bench.arena import Server, arena
from bench.command import run
from bench.contestants import TALLYGATE_SESSION, Contestant
from bench.load import load, require_wrk
from bench.machine import ROOT, BenchError

SIGN_INS, ROUNDS = 300, 3
SECONDS = 5
SCRIPT = Path(__file__).with_suffix(".lua")
SECRET, VERIFIER, BACK = "a-secret-of-the-bench", "v" * 43, "https://app.example.com/callback"
CLIENT = {"secret": SECRET, "redirect_uris": [BACK], "first_party": True}
QUERY = {
    "client_id": "app", "redirect_uri": BACK, "response_type": "code", "scope": "openid profile",
    "code_challenge": base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("="),
    "code_challenge_method": "S256",
}  # fmt: skip
FORM = {"grant_type": "authorization_code", "redirect_uri": BACK, "code_verifier": VERIFIER}
BASIC = f"Basic {base64.b64encode(f'app:{SECRET}'.encode()).decode()}"
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
        self._client.get(known["jwks_uri"]).raise_for_status()  # the first of all makes the keys
        self.url, self._token = f"{known['authorization_endpoint']}?{urlencode(QUERY)}", known["token_endpoint"]

    def sign_in(self) -> Any:
        """The answer of the token endpoint."""
        there = self.url
        while not there.startswith(BACK):
            there = urljoin(there, self._browser.get(there).headers["location"])
        form = FORM | {"code": parse_qs(urlsplit(there).query)["code"][0]}
        response = self._client.post(self._token, data=form, auth=("app", SECRET))
        response.raise_for_status()
        return response.json()

    def load(self, seconds: int, core: int | None) -> float:
        """Signs in over many connections for so many seconds. Returns how many times it did."""
        cookies = "; ".join(f"{name}={value}" for name, value in self._browser.cookies.items())
        headers = {"Cookie": self._browser.headers.get("Cookie", cookies)}
        script = [str(SCRIPT), urlsplit(self._token).path, f"{urlencode(FORM)}&code=", BASIC]
        answers = load(self.url, headers, seconds, core, script=script)
        assert answers.refused == 0
        return answers.count / 2


def main() -> int:
    """Print the CPU of a sign-in, of each in turn."""
    require_wrk()
    if not (ROOT / "dev/oidc_provider/node_modules").exists():
        raise BenchError("npm's oidc-provider is missing: run `npm ci` in dev/oidc_provider")
    with arena() as place:
        for _ in range(ROUNDS):
            spent = []
            for contestant in (PROVIDER, OPPONENT):
                with place.serve(contestant) as server:
                    spent.append(_measure(server, place.cores.others))
            for how, ours, theirs in zip(("one by one", "64 at once"), *spent, strict=True):
                share = f"{theirs / ours:.1f} times as many a second"
                print(f"{how}: Tallygate {ours:.2f} ms, oidc-provider {theirs:.2f} ms: {share}")
    return 0


def _measure(server: Server, core: int | None) -> tuple[float, float]:
    """Milliseconds of the server's CPU that a sign-in takes: (one after another, many at once)."""
    party = RelyingParty(server)
    party.sign_in()
    party.load(SECONDS, core)  # V8 compiles what runs often
    before = server.process.usage().cpu
    for _ in range(SIGN_INS):
        party.sign_in()
    between = server.process.usage().cpu
    count = party.load(SECONDS, core)
    return (between - before) / SIGN_INS * 1e3, (server.process.usage().cpu - between) / count * 1e3


if __name__ == "__main__":
    run(main)
