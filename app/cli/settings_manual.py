"""`python -m app settings`: prints docs/settings.md."""

from app.cli.command import Command, Invocation
from app.settings.docs import settings_manual


def run(_: Invocation) -> int:
    print(settings_manual(), end="")
    return 0


command = Command("settings", "print the manual of the settings", run)
