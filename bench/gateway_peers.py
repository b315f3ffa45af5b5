"""Protected pages behind nginx and Apache: `python -m bench.gateway_peers`.

Each contestant, its proxy included, has one core. Those whose programs are not installed are left out.
"""

import argparse
import asyncio
import json
import os
import shutil
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx

from app.store.client import StoreUnavailable
from app.store.embedded import server_binary
from bench.arena import DEADLINE, Arena, arena, free_ports, wait_until_answered
from bench.command import positive, run
from bench.gateway import make_users
from bench.load import load
from bench.machine import PEERS, BenchError
from bench.processes import Process, running
from dev.serving import served
from tests.fakes.openid import CLIENT_ID, CLIENT_SECRET, FakeOpenId
from tests.helpers.cast import PASSWORD

USER = {"sub": "1", "name": "Bob", "preferred_username": "bob", "email": "bob@corp.example", "email_verified": True}
NGINX = """
daemon off; worker_processes 1; pid nginx.pid; error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
  access_log off; proxy_buffer_size 16k; proxy_buffers 4 16k;
  client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
  upstream service {{ server 127.0.0.1:{service}; keepalive 64; }}
  proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;
  proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;
  server {{
    listen 127.0.0.1:{port}; root site;
    location / {{ {ask} }}
    location {own} {{ proxy_pass http://service; }}
    location = /_ask {{
      internal; proxy_pass http://service{question};
      proxy_set_header Connection ""; proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Original-URL $scheme://$host$request_uri; proxy_set_header X-Original-Method $request_method;
      proxy_pass_request_body off; proxy_set_header Content-Length "";
    }}
  }}
}}
"""
APACHE = """
ServerName 127.0.0.1
ServerRoot {folder}
PidFile apache.pid
ErrorLog /dev/stderr
LogLevel crit
Listen 127.0.0.1:{port}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authn_core_module {modules}/mod_authn_core.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule authz_user_module {modules}/mod_authz_user.so
LoadModule auth_openidc_module {modules}/mod_auth_openidc.so
LoadModule dir_module {modules}/mod_dir.so
StartServers 1
ThreadsPerChild 64
MaxRequestWorkers 64
MaxKeepAliveRequests 0
DocumentRoot {folder}/site
OIDCProviderMetadataURL {issuer}/.well-known/openid-configuration
OIDCClientID "{client}"
OIDCClientSecret "{secret}"
OIDCRedirectURI http://127.0.0.1:{port}/callback
OIDCCryptoPassphrase 0123456789abcdef0123456789abcdef
OIDCRemoteUserClaim sub
OIDCPKCEMethod S256
OIDCSSLValidateServer Off
OIDCCacheType {cache}
{redis}
<Location />
  AuthType openid-connect
  Require valid-user
</Location>
"""
MODULES = Path("/usr/lib/apache2/modules")


@dataclass
class Ground:
    """What all contestants share: the arena, a Redis on a port, the provider, and a folder of their own each."""

    place: Arena
    redis: str
    issuer: str
    folder: Path
    stack: ExitStack

    def start(self, *command: str, environment: dict[str, str] | None = None) -> Process:
        folder = self.folder / Path(command[0]).name
        folder.mkdir()
        return self.stack.enter_context(running(command, folder, self.place.cores.server, environment))

    def nginx(self, service: int, ask: str, own: str, question: str) -> tuple[int, Process]:
        """(the port, the process) of an nginx that asks the service on a port."""
        (port,) = free_ports(1)
        text = NGINX.format(service=service, port=port, ask=ask, own=own, question=question)
        (self.folder / "nginx.conf").write_text(text)
        site = self.folder / "nginx" / "site"
        process = self.start(_program("nginx"), "-p", "./", "-c", str(self.folder / "nginx.conf"))
        site.mkdir()
        (site / "index.html").write_text("Hello, world!")
        _retried(lambda: socket.create_connection(("127.0.0.1", port)).close(), process)
        return port, process


Entered = tuple[str, str, list[Process]]
"""A protected page's address, the Cookie header of who is signed in, and the processes of a contestant."""


def tallygate(ground: Ground) -> Entered:
    (service,) = free_ports(1)
    environment = {
        "TALLYGATE_REDIS_URL": ground.redis,
        "TALLYGATE_PUBLIC_URL": f"http://127.0.0.1:{service}",
        "TALLYGATE_TRUSTED_PROXIES": "127.0.0.1",
        "TALLYGATE_RULES": json.dumps([{"hosts": ["127.0.0.1"], "allow": {"groups": ["staff"]}}]),
        "TALLYGATE_LOG_FILE": "/dev/null",
    }
    started = ground.start(sys.executable, "-m", "app", "--port", str(service), environment=environment)
    wait_until_answered(service, "/live", {}, started)
    port, nginx = ground.nginx(service, "auth_request /_ask;", "/.tallygate/", "/verify/auth-request")
    with httpx.Client(follow_redirects=True) as browser:
        who = {"username": "bob", "password": PASSWORD}
        browser.post(f"http://127.0.0.1:{service}/api/session", json=who).raise_for_status()
        browser.get(f"http://127.0.0.1:{port}/.tallygate/start").raise_for_status()
        return f"http://127.0.0.1:{port}/", _cookies(browser, "tallygate-site"), [started, nginx]


def oauth2_proxy(ground: Ground) -> Entered:
    (service,) = free_ports(1)
    port, nginx = ground.nginx(service, "auth_request /_ask;", "/oauth2/", "/oauth2/auth")
    options = {
        "http-address": f"127.0.0.1:{service}", "provider": "oidc", "oidc-issuer-url": ground.issuer,
        "client-id": CLIENT_ID, "client-secret": CLIENT_SECRET, "cookie-secret": 32 * "a", "cookie-secure": "false",
        "email-domain": "*", "reverse-proxy": "true", "set-xauthrequest": "true", "skip-provider-button": "true",
        "session-store-type": "redis", "redis-connection-url": ground.redis, "code-challenge-method": "S256",
        "redirect-url": f"http://127.0.0.1:{port}/oauth2/callback", "upstream": "static://202",
        "request-logging": "false", "auth-logging": "false", "standard-logging": "false",
    }  # fmt: skip
    arguments = [f"--{name}={value}" for name, value in options.items()]
    started = ground.start(_program("oauth2-proxy"), *arguments, environment={"GOMAXPROCS": "1"})
    wait_until_answered(service, "/ping", {}, started)
    with httpx.Client(follow_redirects=True) as browser:
        browser.get(f"http://127.0.0.1:{port}/oauth2/start?rd=/").raise_for_status()
        return f"http://127.0.0.1:{port}/", _cookies(browser, "_oauth2_proxy"), [started, nginx]


def mod_auth_openidc(ground: Ground, cache: str) -> Entered:
    if not (MODULES / "mod_auth_openidc.so").exists():
        raise BenchError("apt-get install apache2-bin libapache2-mod-auth-openidc")
    (port,) = free_ports(1)
    folder = ground.folder / "apache2"
    server = f"OIDCRedisCacheServer {ground.redis.removeprefix('redis://')}" if cache == "redis" else ""
    text = APACHE.format(
        folder=folder, port=port, modules=MODULES, issuer=ground.issuer, client=CLIENT_ID, secret=CLIENT_SECRET,
        cache=cache, redis=server,
    )  # fmt: skip
    (ground.folder / "apache.conf").write_text(text)
    started = ground.start(_program("apache2"), "-DFOREGROUND", "-f", str(ground.folder / "apache.conf"))
    (folder / "site").mkdir()
    (folder / "site" / "index.html").write_text("Hello, world!")
    with httpx.Client(follow_redirects=True) as browser:
        _retried(lambda: browser.get(f"http://127.0.0.1:{port}/").raise_for_status(), started)
        return f"http://127.0.0.1:{port}/", _cookies(browser, "mod_auth_openidc_session"), [started]


def static_file(ground: Ground) -> Entered:
    port, nginx = ground.nginx(1, "", "= /none", "/")
    return f"http://127.0.0.1:{port}/", "", [nginx]


CONTESTANTS: dict[str, Callable[[Ground], Entered]] = {
    "nginx alone": static_file,
    "Tallygate": tallygate,
    "oauth2-proxy, Redis": oauth2_proxy,
    "mod_auth_openidc, Redis": partial(mod_auth_openidc, cache="redis"),
    "mod_auth_openidc, shared memory": partial(mod_auth_openidc, cache="shm"),
}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.gateway_peers", description=__doc__)
    parser.add_argument("--seconds", type=positive, default=5, help="seconds of load in a round (5)")
    parser.add_argument("--rounds", type=positive, default=3, help="rounds (3)")
    options = parser.parse_args()
    results: dict[str, list[tuple[float, float]]] = {}
    provider = FakeOpenId(user=USER, metadata={"response_types_supported": ["code"]})
    with arena() as place, served(provider.app()) as provider.issuer:
        for _ in range(options.rounds):
            for name, enter in CONTESTANTS.items():
                try:
                    with _ground(place, provider.issuer) as ground:
                        results.setdefault(name, []).append(_measured(place, options.seconds, *enter(ground)))
                except BenchError as error:
                    print(f"{name} is left out: {error}")
    ours = statistics.median(cpu for _, cpu in results.get("Tallygate", [(0.0, 0.0)]))
    for name, samples in filter(lambda pair: pair[1], results.items()):
        rate, cpu = (statistics.median(column) for column in zip(*samples, strict=True))
        print(f"{name}: {rate:,.0f} pages/s, {cpu:.1f} us a page, {cpu / ours:.2f} of Tallygate's")
    return 0


@contextmanager
def _ground(place: Arena, issuer: str) -> Iterator[Ground]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tallygate-bench-")))
        (port,) = free_ports(1)
        store = folder / "valkey"
        store.mkdir()
        command = [str(server_binary()), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
        started = stack.enter_context(running(command, store, place.cores.others))
        url = f"redis://127.0.0.1:{port}"
        _retried(lambda: asyncio.run(make_users(url)), started)
        yield Ground(place, url, issuer, folder, stack)


def _measured(place: Arena, seconds: int, url: str, cookie: str, processes: list[Process]) -> tuple[float, float]:
    """(pages a second, microseconds of CPU a page)."""
    headers = {"Cookie": cookie}
    load(url, headers, 1, place.cores.others)
    before = sum(process.usage().cpu for process in processes)
    answers = load(url, headers, seconds, place.cores.others)
    if answers.refused or not answers.count:
        raise BenchError(f"{answers.refused} of {answers.count} pages were refused")
    used = sum(process.usage().cpu for process in processes) - before
    return answers.count / answers.seconds, used / answers.count * 1e6


def _cookies(browser: httpx.Client, *names: str) -> str:
    found = {cookie.name: cookie.value for cookie in browser.cookies.jar if cookie.name.startswith(names)}
    if not found:
        raise BenchError(f"signing in set no cookie {names[0]}")
    return "; ".join(f"{name}={value}" for name, value in found.items())


def _program(name: str) -> str:
    found = shutil.which(name, path=f"{PEERS / 'bin'}:{os.environ['PATH']}:/usr/sbin")
    if found is None:
        raise BenchError(f"{name} is not installed")
    return found


def _retried(act: Callable[[], object], process: Process) -> None:
    """Acts until it succeeds. Raises BenchError after DEADLINE seconds."""
    end = time.monotonic() + DEADLINE
    while True:
        process.check()
        try:
            act()
        except (httpx.HTTPError, OSError, StoreUnavailable):
            if time.monotonic() > end:
                raise BenchError("no answer in time") from None
            time.sleep(0.05)
        else:
            return


if __name__ == "__main__":
    run(main)
