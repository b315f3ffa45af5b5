"""What do userinfo and introspection cost for a known token? `python -m bench.userinfo` says it beside hello's cost.

It needs `wrk`. `hello` runs in the service's own environment.
"""

from dataclasses import replace

from bench.arena import Arena, Server, arena
from bench.command import run
from bench.contestants import HELLO
from bench.load import load, require_wrk
from bench.sign_ins import BASIC, PROVIDER, RelyingParty

SECONDS, ROUNDS = 3, 3
HERE = replace(HELLO, command=HELLO.command.replace("{peers}/uvicorn", "{python} -m uvicorn"))


def main() -> int:
    """Print the CPU of a request, of each in turn, and the Redis commands."""
    require_wrk()
    with arena() as place:
        for _ in range(ROUNDS):
            hello = place.measure(HERE, SECONDS)
            with place.serve(PROVIDER) as server:
                token = RelyingParty(server).sign_in()["access_token"]
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


if __name__ == "__main__":
    run(main)
