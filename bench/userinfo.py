"""What do userinfo and introspection cost for a known token? `python -m bench.userinfo` says it beside hello's cost.

It needs `wrk`. `hello` runs in the service's own environment.
"""

import base64
import hashlib
import json
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import httpx

from bench.arena import Arena, Server, arena
from bench.command import run
from bench.contestants import HELLO, TALLYGATE_SESSION
from bench.load import load, require_wrk

SECONDS, ROUNDS = 3, 3
SECRET, VERIFIER, BACK = "a-secret-of-the-bench", "v" * 43, "https://app.example.com/callback"
BASIC = f"Basic {base64.b64encode(f'app:{SECRET}'.encode()).decode()}"
CLIENT = {"secret": SECRET, "redirect_uris": [BACK], "first_party": True}
HERE = replace(HELLO, command=HELLO.command.replace("{peers}/uvicorn", "{python} -m uvicorn"))
PROVIDER = replace(
    TALLYGATE_SESSION,
    name="tallygate-userinfo",
    environment={
        "TALLYGATE_PUBLIC_URL": "http://127.0.0.1:{port}",
        "TALLYGATE_CLIENTS": json.dumps({"app": CLIENT}).replace("{", "{{").replace("}", "}}"),
    },
)


def main() -> int:
    """Print the CPU of a request, of each in turn, and the Redis commands."""
    require_wrk()
    with arena() as place:
        for _ in range(ROUNDS):
            hello = place.measure(HERE, SECONDS)
            with place.serve(PROVIDER) as server:
                token = _access_token(server)
                asked = {
                    "userinfo": _measure(place, server, "userinfo", f"Bearer {token}"),
                    "introspect": _measure(place, server, "introspect", BASIC, f"token={token}"),
                }
            said = (f"{name} {cpu:.1f} us, {hello.cpu / cpu:.2f}, {count:.3f}" for name, (cpu, count) in asked.items())
            print(f"hello {hello.cpu:.1f} us;", "; ".join(said), "(CPU, share of hello, Redis commands)")
    return 0


def _measure(
    place: Arena, server: Server, endpoint: str, authorization: str, form: str | None = None
) -> tuple[float, float]:
    """(CPU in microseconds, Redis commands) of a request."""
    url, headers = server.url.replace("/api/session", f"/oauth2/{endpoint}"), {"Authorization": authorization}
    load(url, headers, 1, place.cores.others, form)
    before, commands = server.process.usage().cpu, place.valkey.commands()
    answers = load(url, headers, SECONDS, place.cores.others, form)
    assert answers.refused == 0
    spent, asked = server.process.usage().cpu - before, place.valkey.commands() - commands
    return spent / answers.count * 1e6, asked / answers.count


def _access_token(server: Server) -> str:
    origin = server.url.removesuffix("/api/session")
    challenge = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
    query = {
        "client_id": "app", "redirect_uri": BACK, "response_type": "code", "scope": "openid profile",
        "code_challenge": challenge, "code_challenge_method": "S256",
    }  # fmt: skip
    back = httpx.get(f"{origin}/oauth2/authorize", params=query, headers=dict(server.headers)).headers["location"]
    form = {
        "grant_type": "authorization_code", "code": parse_qs(urlsplit(back).query)["code"][0], "redirect_uri": BACK,
        "code_verifier": VERIFIER,
    }  # fmt: skip
    answer = httpx.post(f"{origin}/oauth2/token", data=form, auth=("app", SECRET)).json()
    return str(answer["access_token"])


if __name__ == "__main__":
    run(main)
