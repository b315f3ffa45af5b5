"""Real reverse proxies in front of a service, on loopback: nginx, Caddy and HAProxy where they are installed."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.helpers.sockets import PATIENCE, free_port, get

NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  map $http_upgrade $connection_upgrade {{ default upgrade; "" ""; }}
  upstream app {{ server {upstream}; keepalive 4; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Host $host; proxy_request_buffering off;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
      proxy_set_header X-Forwarded-For $remote_addr;
    }}
  }}
}}
"""
CADDY = """
{{
  admin off
  auto_https off
}}
http://127.0.0.1:{port}, http://:{port} {{
  reverse_proxy {upstream}
}}
"""
HAPROXY = """
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  option http-keep-alive
  http-reuse always
frontend front
  bind 127.0.0.1:{port}
  default_backend app
backend app
  server one {upstream}
"""
COMMANDS = {
    "nginx": (NGINX, "nginx.conf", ["nginx", "-p", "{folder}", "-c", "{file}"]),
    "caddy": (CADDY, "Caddyfile", ["caddy", "run", "--adapter", "caddyfile", "--config", "{file}"]),
    "haproxy": (HAPROXY, "haproxy.cfg", ["haproxy", "-f", "{file}"]),
}
PROXIES = tuple(COMMANDS)


@contextmanager
def proxied(name: str, upstream: str, folder: Path, template: str | None = None) -> Iterator[str]:
    """The URL of a proxy in front of the upstream; skips the test where the proxy is not installed."""
    usual, file_name, command = COMMANDS[name]
    program = shutil.which(command[0]) or shutil.which(command[0], path="/usr/sbin")
    if program is None:
        pytest.skip(f"{name} is not installed: apt-get install {name}")
    own = folder / f"proxy-{name}-{time.monotonic_ns()}"
    own.mkdir()
    port = free_port()
    file = own / file_name
    file.write_text((template or usual).format(folder=own, port=port, upstream=urlsplit(upstream).netloc))
    arguments = [part.format(folder=own, file=file) for part in command[1:]]
    environment = {"HOME": str(own), "PATH": "/usr/bin:/bin:/usr/sbin"}
    with (
        (own / "log").open("wb") as log,
        subprocess.Popen([program, *arguments], stdout=log, stderr=log, env=environment) as running,
    ):
        try:
            _wait_for(f"http://127.0.0.1:{port}/live", running, own / "log")
            yield f"http://127.0.0.1:{port}"
        finally:
            running.terminate()
            running.wait(PATIENCE)


def _wait_for(url: str, running: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        assert running.poll() is None, log.read_text("utf-8", "replace")
        assert time.monotonic() < deadline, log.read_text("utf-8", "replace")
        try:
            if get(url).status_code == 200:
                return
        except OSError:
            pass
        except Exception as error:
            if "Connect" not in type(error).__name__:
                raise
        time.sleep(0.05)
