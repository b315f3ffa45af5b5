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
from typing import Any, TypeVar
from urllib.parse import urlsplit

from app.oauth_client.errors import Misconfigured
from app.oauth_client.oidc_settings import OidcSettings
from app.oauth_client.providers.wechat import WeChatSettings
from app.settings.sources import CONFIG_VARIABLE, SettingsError, toml
from app.wechat.models import Table, WeChatAccount, WeChatPlatform, configured_accounts, configured_platforms
from dev.openid import Client, openid_provider
from dev.serving import Unavailable, served
from dev.wechat.pushes import Receiver
from dev.wechat.simulator import Simulator

PRESET = Path(__file__).parent / "providers.toml"
ACCESS_TOKEN_SECONDS = 60
"""Short, so that one sees sessions stay fresh, or end."""
WECHAT = ("wechat", "wechat_platform")
"""Settings whose tables have an `api_url`."""
T = TypeVar("T", bound=Table)
ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(command: Sequence[str]) -> int:
    """The command's exit code; 2 where there is no command, or a provider cannot be started."""
    config = os.environ.get(CONFIG_VARIABLE) or str(PRESET)
    try:
        if not command:
            raise Unavailable("python -m dev: name the command to run, such as: python -m dev python -m app")
        with ExitStack() as stack:
            for name, provider in _providers(config, _homes(command)):
                print(f"{name}: {stack.enter_context(provider)}", flush=True)
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
    """(what it is, provider) for the tables of those at localhost. Raises Misconfigured, SettingsError, Unavailable."""
    tables = toml(Path(config))
    found = False
    for name, table in tables.get("oauth", {}).items():
        if table.get("type") == "oidc" and (provider := _openid(name, table, homes)):
            found = True
            yield f"Sign in with {name}", provider
    for port in _wechat_ports(tables):
        found = True
        yield "WeChat", served(_simulator(tables, port, homes[0]).app(), port)
    if not found:
        raise Unavailable(f"{config}: no table [oauth.<name>] is of a provider at http://localhost:<port>")


def _openid(name: str, table: Mapping[str, Any], homes: Sequence[str]) -> AbstractContextManager[str] | None:
    oidc = OidcSettings.read(name, table, private=True)
    client = Client(name, oidc.client_id, oidc.client_secret.get_secret_value() if oidc.client_secret else None)
    port, offline = _local_port(oidc.issuer), "offline_access" in oidc.scopes
    if not port:
        return None
    return openid_provider(client, homes, port=port, offline=offline, access_token_seconds=ACCESS_TOKEN_SECONDS)


def _wechat_ports(tables: Mapping[str, Any]) -> list[int]:
    """Where WeChat is to be simulated."""
    urls = [table.get("open_url", "") for table in tables.get("oauth", {}).values() if table.get("type") == "wechat"]
    urls += [each.get("api_url", "") for name in WECHAT for each in tables.get(name, {}).values()]
    return sorted({port for port in map(_local_port, urls) if port})


def _simulator(tables: Mapping[str, Any], port: int, home: str) -> Simulator:
    sign_in: dict[str, str] = {}
    for name, table in tables.get("oauth", {}).items():
        if table.get("type") == "wechat" and _local_port(table.get("open_url", "")) == port:
            others = {each: tables.get(each, {}) for each in WECHAT}
            wechat = WeChatSettings.read(name, table, private=True, others=others)
            apps = {wechat.appid: wechat.secret, wechat.inside_appid: wechat.inside_secret}
            sign_in |= {appid: secret.get_secret_value() for appid, secret in apps.items() if appid}
    accounts = _at(configured_accounts(tables.get("wechat", {}), private=True), port)
    platforms = _at(configured_platforms(tables.get("wechat_platform", {}), private=True), port)
    callback = f"{home}/wechat"
    return Simulator(
        sign_in,
        ACCESS_TOKEN_SECONDS,
        {each.appid: each.secret.get_secret_value() for each in accounts.values()},
        {name: _receiver(each, f"{callback}/{name}/callback") for name, each in accounts.items() if each.token},
        [
            (_receiver(each, f"{callback}/platform/{name}/callback"), each.secret.get_secret_value())
            for name, each in platforms.items()
        ],
    )


def _at(tables: Mapping[str, T], port: int) -> dict[str, T]:
    return {name: each for name, each in tables.items() if _local_port(each.api_url) == port}


def _receiver(table: WeChatAccount | WeChatPlatform, url: str) -> Receiver:
    token, key = table.token, table.encoding_aes_key
    return Receiver(url, table.appid, token.get_secret_value() if token else "", key.get_secret_value() if key else "")


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
