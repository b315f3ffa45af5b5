"""What does a proxied call of WeChat's API cost? `python -m bench.wechat` compares it with calling the simulator
directly. It needs `wrk`.

The simulator runs in a process of its own. The CPU that the proxy adds is that of the service, plus what the simulator
needs more for a proxied call than for a direct one.
"""

import argparse
import hashlib
import json
from dataclasses import replace

import httpx

from bench.arena import Arena, Server, arena
from bench.command import positive, run
from bench.contestants import HELLO, TALLYGATE, Contestant
from bench.load import load, require_wrk
from bench.peers.wechat import APPID, SECRET

TOKEN = "tgs_" + "b" * 43
INFO = "/cgi-bin/user/info?openid=o1"
UVICORN = HELLO.command.replace("{peers}/uvicorn", "{python} -m uvicorn")
HERE = replace(HELLO, command=UVICORN)
SIMULATOR = Contestant("simulator", UVICORN.replace("bench.peers.hello", "bench.peers.wechat"), path=INFO)


def main() -> int:
    """Print the CPU of a call, direct and proxied in turn."""
    parser = argparse.ArgumentParser(prog="python -m bench.wechat", description=__doc__)
    parser.add_argument("--seconds", type=positive, default=3, help="seconds of load in a round (3)")
    parser.add_argument("--rounds", type=positive, default=3, help="rounds (3)")
    options = parser.parse_args()
    require_wrk()
    with arena() as place:
        for _ in range(options.rounds):
            hello = place.measure(HERE, options.seconds).cpu
            with place.serve(SIMULATOR) as simulator, place.serve(_proxy(simulator)) as proxy:
                _measure(place, simulator, proxy, hello, options.seconds)
    return 0


def _proxy(simulator: Server) -> Contestant:
    account = {"appid": APPID, "secret": SECRET, "api_url": simulator.url.removesuffix(INFO)}
    service = {"tokens": [hashlib.sha256(TOKEN.encode()).hexdigest()], "wechat": {"shop": {}}}
    settings = {"WECHAT": {"shop": account}, "SERVICES": {"bench": service}}
    environment = {f"TALLYGATE_{name}": json.dumps(table) for name, table in settings.items()}
    return Contestant(
        "wechat",
        TALLYGATE,
        path=f"/wechat/shop{INFO}",
        headers={"Authorization": f"Bearer {TOKEN}"},
        environment={name: text.replace("{", "{{").replace("}", "}}") for name, text in environment.items()},
    )


def _measure(place: Arena, simulator: Server, proxy: Server, hello: float, seconds: int) -> None:
    origin = simulator.url.removesuffix(INFO)
    who = {"grant_type": "client_credential", "appid": APPID, "secret": SECRET}
    token = httpx.get(f"{origin}/cgi-bin/token", params=who).json()["access_token"]
    assert httpx.get(proxy.url, headers=dict(proxy.headers)).json()["openid"] == "o1"
    direct, _ = _cpu(place, f"{simulator.url}&access_token={token}", simulator, proxy, seconds)
    upstream, service = _cpu(place, proxy.url, simulator, proxy, seconds)
    added = service + upstream - direct
    print(
        f"hello {hello:.1f} us; direct {direct:.1f} us; proxied: simulator {upstream:.1f} us, service {service:.1f} us;"
        f" added {added:.1f} us ({added / hello:.1f} times hello)"
    )


def _cpu(place: Arena, url: str, simulator: Server, proxy: Server, seconds: int) -> tuple[float, float]:
    """Microseconds of a call: of the simulator, of the service."""
    load(url, proxy.headers, 1, place.cores.others)
    before = [each.process.usage().cpu for each in (simulator, proxy)]
    answers = load(url, proxy.headers, seconds, place.cores.others)
    assert not answers.refused
    spent = [each.process.usage().cpu - start for each, start in zip((simulator, proxy), before, strict=True)]
    return spent[0] / answers.count * 1e6, spent[1] / answers.count * 1e6


if __name__ == "__main__":
    run(main)
