"""`python -m app check-config`: checks the settings and starts nothing."""

from app.cli.command import Command, Invocation
from app.oauth_client.provider_config import configured
from app.settings import SettingsError


def run(invocation: Invocation) -> int:
    """Raises SettingsError, with a line for each mistake."""
    _, mistakes = configured(invocation.settings())
    if mistakes:  # the service itself starts without a provider whose table is wrong
        raise SettingsError("\ntallygate: ".join(mistakes))
    print("tallygate: the settings are good")
    return 0


command = Command("check-config", "check the settings, start nothing", run)
