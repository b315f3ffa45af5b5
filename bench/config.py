"""What does reading an unchanged namespace cost? `python -m bench.config` asks for one of 200 keys with a matching
ETag, with a session and with a service's token, beside `hello` in the service's own environment. It needs `wrk`.
"""

from dataclasses import replace

import httpx

from bench.arena import Arena, Server, arena
from bench.command import run
from bench.contestants import HELLO, TALLYGATE_CONFIG
from bench.load import load, require_wrk

KEYS, SECONDS, ROUNDS = 200, 3, 3
HERE = replace(HELLO, command=HELLO.command.replace("{peers}/uvicorn", "{python} -m uvicorn"))


def main() -> int:
    """Print the CPU of a request, its share of hello and the Redis commands, of each in turn."""
    require_wrk()
    with arena() as place:
        for _ in range(ROUNDS):
            hello = place.measure(HERE, SECONDS)
            with place.serve(TALLYGATE_CONFIG) as server:
                tag, token = _prepare(server)
                cookie = {"Cookie": server.headers["Cookie"]}
                ways = {"session": cookie, "service": {"Authorization": f"Bearer {token}"}}
                asked = {
                    name: _measure(place, server, headers | {"If-None-Match": tag}) for name, headers in ways.items()
                }
            said = (f"{name} {cpu:.1f} us, {hello.cpu / cpu:.2f}, {count:.3f}" for name, (cpu, count) in asked.items())
            print(f"hello {hello.cpu:.1f} us;", "; ".join(said), "(CPU, share of hello, Redis commands)", flush=True)
    return 0


def _prepare(server: Server) -> tuple[str, str]:
    """(the ETag of a namespace, a service's token): all rounds share one Redis."""
    patch = {"Content-Type": "application/merge-patch+json"}
    values = {f"key-{number}": {"number": number, "text": "x" * 50} for number in range(KEYS)}
    base = server.url.removesuffix("/api/config/tallygate")
    with httpx.Client(base_url=base, headers={"Cookie": server.headers["Cookie"]}) as client:
        client.post("/api/config", json={"name": "bench"})
        client.patch("/api/config/bench", json=values, headers=patch).raise_for_status()
        for each in client.get("/api/services").json():
            client.delete(f"/api/services/{each['id']}").raise_for_status()
        service = client.post("/api/services", json={"name": "reader", "config": {"bench": "read"}}).json()["id"]
        token = client.post(f"/api/services/{service}/tokens", json={"name": "one"}).json()["token"]
        return client.get("/api/config/bench").headers["etag"], token


def _measure(place: Arena, server: Server, headers: dict[str, str]) -> tuple[float, float]:
    """(CPU in microseconds, Redis commands) of a request."""
    url = server.url.replace("tallygate", "bench")
    assert httpx.get(url, headers=headers).status_code == 304
    load(url, headers, 1, place.cores.others)
    before, commands = server.process.usage().cpu, place.valkey.commands()
    answers = load(url, headers, SECONDS, place.cores.others)
    assert answers.refused == 0
    spent, asked = server.process.usage().cpu - before, place.valkey.commands() - commands
    return spent / answers.count * 1e6, asked / answers.count


if __name__ == "__main__":
    run(main)
