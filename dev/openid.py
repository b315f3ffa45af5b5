"""A real OpenID provider, not ours: the npm package oidc-provider, which is certified."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from dev.serving import Unavailable, listening

FOLDER = Path(__file__).parent / "oidc_provider"
LOCK = FOLDER / "package-lock.json"
INSTALLED = FOLDER / "node_modules" / ".package-lock.json"
"""What npm writes at the end of an installation."""
OLDEST = 20
"""Major version of Node.js that runs it."""


class NodeMissing(Unavailable):
    """Node.js is not installed, or too old, or its packages cannot be had."""


@dataclass(frozen=True, slots=True)
class Client:
    """The service, as the provider knows it; `name` is the provider's in the service's settings."""

    name: str
    id: str
    secret: str | None
    """None for a public client."""


@contextmanager
def openid_provider(
    client: Client,
    homes: Sequence[str],
    *,
    port: int = 0,
    offline: bool = False,
    access_token_seconds: int = 3600,
) -> Iterator[str]:
    """Runs it on loopback; its issuer. Its pages ask for any name, and for consent. Raises Unavailable.

    `homes` are the addresses of the service; to the first go messages of back-channel logout. `offline`: with refresh
    tokens. The issuer says localhost: for a browser at 127.0.0.1 that is another site, as real providers are.
    """
    node = installed_node()
    with listening(port) as listener:
        issuer = f"http://localhost:{listener.getsockname()[1]}"
        options = {
            "socket": listener.fileno(),
            "issuer": issuer,
            "client": asdict(client),
            "homes": list(homes),
            "offline": offline,
            "accessTokenSeconds": access_token_seconds,
        }
        process = subprocess.Popen(
            [node, "server.js"],
            cwd=FOLDER,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            pass_fds=[listener.fileno()],
        )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        print(json.dumps(options), file=process.stdin, flush=True)
        try:
            if not process.stdout.readline():
                raise Unavailable("the OpenID provider does not start")
            yield issuer
        finally:
            process.terminate()


def installed_node() -> str:
    """The path of Node.js, for which the provider is installed now. Raises NodeMissing."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None or _major_version(node) < OLDEST:
        raise NodeMissing(f"the OpenID provider needs Node.js {OLDEST} or newer, and npm: apt-get install nodejs npm")
    if not INSTALLED.exists() or INSTALLED.stat().st_mtime < LOCK.stat().st_mtime:
        print("Installing the OpenID provider (npm) ...", file=sys.stderr)
        try:
            subprocess.run(
                [npm, "ci", "--silent", "--no-audit", "--no-fund", "--fetch-retries=1"],
                cwd=FOLDER,
                check=True,
                timeout=300,
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            raise NodeMissing("npm cannot install the OpenID provider: is the network away?") from None
    return node


def _major_version(node: str) -> int:
    asked = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=60, check=False)
    major = asked.stdout.removeprefix("v").partition(".")[0]
    return int(major) if major.isdecimal() else 0
