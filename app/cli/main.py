"""Parses the command line and runs a command."""

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import NoReturn

from app import __version__
from app.cli.command import Command, CommandError, Invocation
from app.settings import CONFIG_VARIABLE, Settings, SettingsError
from app.settings.fields import FORMER_NAMES
from app.store.embedded import EmbeddedError

COMMANDS = {
    "serve": "run the service (the default)",
    "check-config": "check the settings, start nothing",
    "settings": "print the manual of the settings (--now: those that can be changed while it runs, and where they come "
    "from)",
    "create-admin": "make the first administrator (asks for the password, or reads it from standard input)",
    "explain": "say which rule decides about URL and why [--user NAME] [--method GET] [--from ADDRESS] [--groups A,B: "
    "those of the user's provider]",
    "rotate-keys": "publish new signing keys, which sign a day later (--now: at once, after a leak)",
    "reset-password": "set a user's password (asks for it, or reads it from standard input) and end the user's "
    "sessions",
    "remove-second-factors": "remove a user's passkeys, authenticator app and recovery codes, and end the user's "
    "sessions",
    "export-data": "write everything in the store to a file (--without-sessions: everybody signs in again)",
    "import-data": "write such a file into the store, which has to be empty",
    "back-up": "export into a folder, check the file by importing it, keep the last 7 (--keep N)",
    "send-test-mail": "send a mail to ADDRESS, and say what goes wrong",
}
"""Each has a module of its name in app/cli/, which is imported when the command runs: the parent of several workers
holds nothing of the application.
"""
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
    name = next((word for word in rest if not word.startswith("-")), "serve")
    command = _command(name)
    if name in rest:
        rest.remove(name)
    parser = Parser(prog=f"python -m app {name}", add_help=False, allow_abbrev=False)
    command.add_options(parser)
    options, unknown = parser.parse_known_args(rest)
    for word in unknown:
        if word.startswith("-"):
            raise SettingsError(
                f"{word.partition('=')[0]}: there is no such setting; `python -m app --help` lists them"
            )
        raise SettingsError(f"{word}: {name} takes no such argument")
    return command, Invocation(given, shared.config, options)


def _command(name: str) -> Command:
    if name not in COMMANDS:
        raise SettingsError(f"{name}: there is no such command; there are {', '.join(COMMANDS)}")
    command: Command = importlib.import_module(f"app.cli.{name.replace('-', '_')}").command
    return command


def _settings_parser() -> Parser:
    lines = "\n".join(f"  {name:15} {text}" for name, text in COMMANDS.items())
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
