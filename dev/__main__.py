"""Runs a command with providers to sign in with beside it: `python -m dev python -m app`.

Which ones the tables of `dev/providers.toml` say, or of the file that TALLYGATE_CONFIG names: those at localhost.
They end with the command.
"""

import os
import signal
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from app.oauth_client.errors import Misconfigured
from app.oauth_client.oidc_settings import OidcSettings
from app.oauth_client.providers.wechat import WeChatSettings
from app.settings.sources import CONFIG_VARIABLE, SettingsError, toml
from dev.openid import Client, openid_provider
from dev.serving import Unavailable, served
from dev.wechat import Simulator

PRESET = Path(__file__).parent / "providers.toml"
ACCESS_TOKEN_SECONDS = 60
"""Short, so that one sees sessions stay fresh, or end."""
ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(command: Sequence[str]) -> int:
    """The command's exit code; 2 where there is no command, or a provider cannot be started."""
    config = os.environ.get(CONFIG_VARIABLE) or str(PRESET)
    try:
        if not command:
            raise Unavailable("python -m dev: name the command to run, such as: python -m dev python -m app")
        with ExitStack() as stack:
            for name, provider in _providers(config, _homes(command)):
                print(f"Sign in with {name}: {stack.enter_context(provider)}", flush=True)
            return _run(command, {**os.environ, CONFIG_VARIABLE: config})
    except (Misconfigured, SettingsError, Unavailable) as problem:
        print(f"tallygate: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # before the command has begun
        return 128 + signal.SIGINT


def _homes(command: Sequence[str]) -> list[str]:
    """Where the service that the command starts can be visited."""
    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--port", default="8000")
    port = parser.parse_known_args(command)[0].port
    return [f"http://127.0.0.1:{port}", f"http://localhost:{port}"]


def _providers(config: str, homes: Sequence[str]) -> Iterator[tuple[str, AbstractContextManager[str]]]:
    """(name, provider) for each table of one at localhost. Raises Misconfigured, SettingsError, Unavailable."""
    found = False
    for name, table in toml(Path(config)).get("oauth", {}).items():
        provider = _provider(name, table, homes)
        if provider is not None:
            found = True
            yield name, provider
    if not found:
        raise Unavailable(f"{config}: no table [oauth.<name>] is of a provider at http://localhost:<port>")


def _provider(name: str, table: Mapping[str, Any], homes: Sequence[str]) -> AbstractContextManager[str] | None:
    match table.get("type"):
        case "oidc":
            oidc = OidcSettings.read(name, table, private=True)
            client = Client(name, oidc.client_id, oidc.client_secret.get_secret_value() if oidc.client_secret else None)
            if port := _local_port(oidc.issuer):
                offline = "offline_access" in oidc.scopes
                return openid_provider(
                    client, homes, port=port, offline=offline, access_token_seconds=ACCESS_TOKEN_SECONDS
                )
        case "wechat":
            wechat = WeChatSettings.read(name, table, private=True)
            secrets = {wechat.appid: wechat.secret, wechat.inside_appid: wechat.inside_secret}
            apps = {appid: secret.get_secret_value() for appid, secret in secrets.items()}
            if port := _local_port(wechat.open_url):
                return served(Simulator(apps, ACCESS_TOKEN_SECONDS).app(), port)
    return None


def _local_port(url: str) -> int | None:
    parts = urlsplit(url)
    return parts.port if parts.hostname == "localhost" else None


def _run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Its exit code, as a shell tells it."""
    process = subprocess.Popen(command, env=environment)
    for number in ENDS:  # a Ctrl-C reaches the command from the terminal, too: the providers wait until it has ended
        signal.signal(number, lambda *_: process.terminate())
    code = process.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
