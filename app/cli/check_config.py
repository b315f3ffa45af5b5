"""`python -m app check-config`: checks the settings of both sources and starts nothing."""

import os
import sys

from app.accounts.users.profile_store import UserStore
from app.cli.command import Command, Invocation
from app.cli.own_namespace import NOT_READ, asked, own_values
from app.config_service.models import OWN
from app.gateway.rule_config import read_rules, unreachable_rules
from app.main import SETTINGS_CHECKS
from app.settings import CONFIG_VARIABLE, Settings, SettingsError
from app.settings.live import LiveSettings
from app.store.client import Store


def run(invocation: Invocation) -> int:
    """Raises SettingsError, with a line for each error."""
    settings = invocation.settings()
    errors = [line for check in SETTINGS_CHECKS for line in check(settings)]
    values = own_values(settings)
    live = LiveSettings(settings, SETTINGS_CHECKS)
    unfit = live.apply(values or {})
    errors += [f"namespace {OWN}: {each}" for each in unfit if each.rule != "locked"]
    errors += unreachable_rules(read_rules(live.current.rules)[0])
    unknown = _unknown_groups(live.current)
    if not live.current.oauth:  # the groups of providers are known only when users come
        errors += unknown
    if errors:  # the service itself starts without a provider whose table is wrong
        raise SettingsError("\ntallygate: ".join(errors))
    for each in unfit:
        print(f"tallygate: namespace {OWN}: {each}; the value there is not used")
    for line in unknown if live.current.oauth else ():
        print(f"tallygate: {line}, unless a provider names it")
    if values is None:
        print(f"tallygate: {NOT_READ}", file=sys.stderr)
    file = invocation.config or os.environ.get(CONFIG_VARIABLE)
    print(f"tallygate: the settings are good{f' ({file})' if file else '; no TOML file was named (--config FILE)'}")
    return 0


def _unknown_groups(settings: Settings) -> list[str]:
    """A line for each group of a rule that administrators have not made; none if the store does not answer."""
    named = read_rules(settings.rules)[0].groups

    async def made(store: Store) -> frozenset[str]:
        return frozenset(group.name for group in await UserStore(store).groups())

    known = asked(settings, made) if named else None
    return [] if known is None else [f"rules: allow.groups: {n}: there is no such group" for n in sorted(named - known)]


command = Command(run)
