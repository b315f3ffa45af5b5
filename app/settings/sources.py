"""The sources of settings: variables, `.env`, files of secrets, a TOML file."""

import re
import tomllib
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

PREFIX = "TALLYGATE_"
CONFIG_VARIABLE = "TALLYGATE_CONFIG"
ENCODING = "utf-8-sig"
"""Windows' editors begin a file with a byte order mark: it is no part of a name or a secret."""
# Kubernetes describes a Service called "tallygate", or "tallygate-redis", to every pod by variables such as
# TALLYGATE_SERVICE_HOST=10.0.0.7, TALLYGATE_PORT_8000_TCP_ADDR=10.0.0.7 and TALLYGATE_PORT=tcp://10.0.0.7:8000.
SERVICE_LINK = re.compile(
    r"TALLYGATE(_[A-Z0-9_]+)?_(SERVICE_(HOST|PORT)\w*=|PORT_\d+_(TCP|UDP|SCTP)\w*=|PORT=(tcp|udp|sctp)://)"
)


class SettingsError(Exception):
    """A setting is unknown, missing or wrong; the text is one line that names it and says what to do."""


def own_variables(environment: Mapping[str, str]) -> dict[str, str]:
    return {k: v for k, v in environment.items() if k.startswith(PREFIX) and not SERVICE_LINK.match(f"{k}={v}")}


def dotenv(path: Path) -> dict[str, str]:
    try:
        found = dotenv_values(path, encoding=ENCODING)
        return {name: value for name, value in found.items() if value is not None}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read ({error})") from None


def toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(ENCODING))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror}); see --config and {CONFIG_VARIABLE}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: is not valid TOML ({error})") from None


def from_variables(variables: Mapping[str, str], names: Container[str], tables: Container[str]) -> dict[str, Any]:
    """Values by setting name, from `TALLYGATE_<NAME>` and from the files that `TALLYGATE_<NAME>_FILE` name.

    A value given directly wins over a file. For a setting in `tables`, `TALLYGATE_<SETTING>__<TABLE>__<FIELD>` reaches
    a field; each further `__` goes one table deeper. An empty variable counts as unset: Compose makes it of
    `${TALLYGATE_PORT:-}`. Raises SettingsError for an unknown name.
    """
    values: dict[str, Any] = {}
    files: list[tuple[str, list[str], str]] = []
    for variable, value in sorted(variables.items()):
        name = variable.removeprefix(PREFIX).lower()
        path = _path(name, names, tables)
        if path is not None and (len(path) == 1 or not name.endswith("_file")):
            if value:
                _put(values, variable, path, value)
            continue
        path = _path(name.removesuffix("_file"), names, tables)
        if path is None:
            raise SettingsError(f"{variable}: there is no such setting; `python -m app --help` lists them")
        if value:
            files.append((variable, path, value))
    for variable, path, file in files:
        if not _has(values, path):
            _put(values, variable, path, _secret_file(variable, Path(file)))
    return values


def _path(name: str, names: Container[str], tables: Container[str]) -> list[str] | None:
    """The path of the value: a setting, or a field in tables; None for an unknown name."""
    path = name.split("__")
    if name in names:
        return [name]
    return path if len(path) > 2 and path[0] in tables and all(path) else None


def _has(values: Mapping[str, Any], path: Sequence[str]) -> bool:
    for name in path:
        if name not in values:
            return False
        values = values[name] if isinstance(values[name], Mapping) else {}
    return True


def _put(values: dict[str, Any], variable: str, path: Sequence[str], value: str) -> None:
    *outer, last = path
    table = values
    for name in outer:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise SettingsError(f"{variable}: contradicts another variable, which gives {name} a plain value")
    table[last] = value


def with_present_names(values: Mapping[str, Any], former: Mapping[str, str]) -> dict[str, Any]:
    """The values under the names that settings have now. Raises SettingsError where both names are given."""
    renamed: dict[str, Any] = {}
    for name, value in values.items():
        present = former.get(name, name)
        if present in renamed:
            raise SettingsError(f"{name}: {present} is given twice: {name} is one of its names; keep {present} alone")
        renamed[present] = value
    return renamed


def merged(*sources: Mapping[str, Any]) -> dict[str, Any]:
    """All sources in one, tables inside each other; a later source wins."""
    result: dict[str, Any] = {}
    for source in sources:
        for name, value in source.items():
            before = result.get(name)
            both = isinstance(before, dict) and isinstance(value, Mapping)
            result[name] = merged(before, value) if both and before is not None else value
    return result


def _secret_file(name: str, path: Path) -> str:
    try:
        value = path.read_text(ENCODING).rstrip("\r\n")
    except UnicodeDecodeError:
        raise SettingsError(f"{name}: the file it names is not text in UTF-8") from None
    except OSError:
        raise SettingsError(f"{name}: the file it names cannot be read; check the path and its permissions") from None
    if not value:
        raise SettingsError(f"{name}: the file it names is empty")
    return value
