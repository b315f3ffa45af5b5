"""Parses the command line and runs a command."""

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from app import __version__
from app.cli import (
    back_up,
    check_config,
    create_admin,
    explain,
    export_data,
    import_data,
    remove_second_factors,
    reset_password,
    rotate_keys,
    send_test_mail,
    serve,
    settings_manual,
)
from app.cli.command import Command, CommandError, Invocation
from app.settings import CONFIG_VARIABLE, Settings, SettingsError
from app.settings.fields import FORMER_NAMES
from app.store.embedded import EmbeddedError

COMMANDS: tuple[Command, ...] = (
    serve.command,
    check_config.command,
    settings_manual.command,
    create_admin.command,
    explain.command,
    rotate_keys.command,
    reset_password.command,
    remove_second_factors.command,
    export_data.command,
    import_data.command,
    back_up.command,
    send_test_mail.command,
)
FORMER = {new: old for old, new in FORMER_NAMES.items()}


class Parser(argparse.ArgumentParser):
    """Reports a mistake in one line, without repeating a value that may be a secret."""

    def error(self, message: str) -> NoReturn:
        raise SettingsError(message.removeprefix("argument "))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; the exit code is 2 where settings or surroundings have to be changed first."""
    try:
        command, invocation = parse(sys.argv[1:] if argv is None else argv)
        return command.run(invocation)
    except (SettingsError, EmbeddedError, CommandError) as error:
        print(f"tallygate: {error}", file=sys.stderr)
        return 2


def parse(argv: Sequence[str]) -> tuple[Command, Invocation]:
    """The command (`serve` where none is named) and its arguments. Raises SettingsError."""
    shared, rest = _settings_parser().parse_known_args(argv)
    given = {name: value for name in Settings.model_fields if (value := getattr(shared, name)) is not None}
    name = next((word for word in rest if not word.startswith("-")), None)
    command = _command(name or "serve")
    if name is not None:
        rest.remove(name)
    parser = Parser(prog=f"python -m app {command.name}", add_help=False, allow_abbrev=False)
    command.add_options(parser)
    options, unknown = parser.parse_known_args(rest)
    for word in unknown:
        if word.startswith("-"):
            raise SettingsError(
                f"{word.partition('=')[0]}: there is no such setting; `python -m app --help` lists them"
            )
        raise SettingsError(f"{word}: {command.name} takes no such argument")
    return command, Invocation(given, shared.config, options)


def _command(name: str) -> Command:
    for command in COMMANDS:
        if command.name == name:
            return command
    names = ", ".join(command.name for command in COMMANDS)
    raise SettingsError(f"{name}: there is no such command; there are {names}")


def _settings_parser() -> Parser:
    lines = "\n".join(f"  {command.name:15} {command.help}" for command in COMMANDS)
    parser = Parser(
        prog="python -m app",
        usage="python -m app [COMMAND] [--setting VALUE ...]",
        description=f"Tallygate signs people in and counts every visit.\n\ncommands:\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"tallygate {__version__}")
    parser.add_argument("--config", metavar="FILE", help=f"TOML file with settings (also {CONFIG_VARIABLE})")
    for name, field in Settings.model_fields.items():
        help_text = (field.description or "").replace("%", "%%")
        parser.add_argument(_option(name), dest=name, metavar="VALUE", help=help_text)
        if name in FORMER:
            parser.add_argument(_option(FORMER[name]), dest=name, help=argparse.SUPPRESS)
    return parser


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
