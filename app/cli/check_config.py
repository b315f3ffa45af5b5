"""`python -m app check-config`: checks the settings of both sources and starts nothing."""

import sys

from app.cli.command import Command, Invocation
from app.cli.own_namespace import UNREAD, own_values
from app.config_service.models import OWN
from app.main import SETTINGS_CHECKS
from app.settings import SettingsError
from app.settings.live import LiveSettings


def run(invocation: Invocation) -> int:
    """Raises SettingsError, with a line for each mistake."""
    settings = invocation.settings()
    mistakes = [line for check in SETTINGS_CHECKS for line in check(settings)]
    values = own_values(settings)
    unfit = LiveSettings(settings, SETTINGS_CHECKS).apply(values or {})
    mistakes += [f"namespace {OWN}: {each}" for each in unfit if each.rule != "locked"]
    if mistakes:  # the service itself starts without a provider whose table is wrong
        raise SettingsError("\ntallygate: ".join(mistakes))
    for each in unfit:
        print(f"tallygate: namespace {OWN}: {each}; the value there is not used")
    if values is None:
        print(f"tallygate: {UNREAD}", file=sys.stderr)
    print("tallygate: the settings are good")
    return 0


command = Command("check-config", "check the settings, start nothing", run)
