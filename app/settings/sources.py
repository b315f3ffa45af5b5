"""Where the values of settings come from: variables, `.env`, files of secrets, a TOML file."""

import re
import tomllib
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

PREFIX = "TALLYGATE_"
CONFIG_VARIABLE = "TALLYGATE_CONFIG"
# Kubernetes describes a Service called "tallygate", or "tallygate-redis", to every pod by variables such as
# TALLYGATE_SERVICE_HOST=10.0.0.7, TALLYGATE_PORT_8000_TCP_ADDR=10.0.0.7 and TALLYGATE_PORT=tcp://10.0.0.7:8000.
SERVICE_LINK = re.compile(
    r"TALLYGATE(_[A-Z0-9_]+)?_(SERVICE_(HOST|PORT)\w*=|PORT_\d+_(TCP|UDP|SCTP)\w*=|PORT=(tcp|udp|sctp)://)"
)
OAUTH_VARIABLE = re.compile(r"TALLYGATE_OAUTH__(?P<provider>[A-Z0-9_]+?)__(?P<field>[A-Z0-9_]+)")


class SettingsError(Exception):
    """A setting is unknown, missing or wrong; the text is one line that names it and says what to do."""


def own_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Those that are meant for us."""
    return {k: v for k, v in environment.items() if k.startswith(PREFIX) and not SERVICE_LINK.match(f"{k}={v}")}


def dotenv(path: Path) -> dict[str, str]:
    try:
        return {name: value for name, value in dotenv_values(path).items() if value is not None}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read ({error})") from None


def toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror}); see --config and {CONFIG_VARIABLE}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: is not valid TOML ({error})") from None


def with_files(variables: dict[str, str], names: Container[str]) -> dict[str, str]:
    """Values from `<NAME>_FILE` beside those given directly, which win; refuses names that are no setting.

    An empty variable counts as unset: that is what Compose makes of `${TALLYGATE_PORT:-}`.
    """
    given = {name: value for name, value in variables.items() if value}
    values = {name: value for name, value in given.items() if _is_setting(name, names)}
    for name in sorted(variables.keys() - values.keys()):
        target = name.removesuffix("_FILE")
        if not _is_setting(target, names):
            raise SettingsError(f"{name}: there is no such setting; `python -m app --help` lists them")
        if name in given:
            values.setdefault(target, _secret_file(name, Path(given[name])))
    return values


def _is_setting(variable: str, names: Container[str]) -> bool:
    if OAUTH_VARIABLE.fullmatch(variable):
        return not variable.endswith("_FILE")
    return variable.removeprefix(PREFIX).lower() in names


def provider_tables(values: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The tables of `oauth` from variables: each `__` goes one table deeper."""
    tables: dict[str, dict[str, Any]] = {}
    for variable, value in sorted(values.items()):
        if match := OAUTH_VARIABLE.fullmatch(variable):
            table = tables.setdefault(match["provider"].lower(), {})
            *outer, last = match["field"].lower().split("__")
            for name in outer:
                table = table.setdefault(name, {})
                if not isinstance(table, dict):
                    raise SettingsError(f"{variable}: contradicts another variable, which gives {name} a plain value")
            table[last] = value
    return tables


def _secret_file(name: str, path: Path) -> str:
    try:
        value = path.read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        raise SettingsError(f"{name}: the file it names cannot be read; check the path and its permissions") from None
    if not value:
        raise SettingsError(f"{name}: the file it names is empty")
    return value
