"""`python -m app explain URL --user U --method GET --from IP`: says which rule decides about a request, and why."""

import argparse
import time
from typing import Any

from app.accounts.users.store import AccountStore
from app.cli.command import Command, CommandError, Invocation, with_store
from app.cli.own_namespace import own_values
from app.gateway.explain import Explanation, explain, is_address
from app.gateway.lifespan import check_gateway
from app.gateway.original_request import BadOriginalRequest
from app.gateway.readings import BadPath
from app.gateway.rule_config import parse_rules
from app.gateway.rules import Subject
from app.main import SETTINGS_CHECKS
from app.settings import Settings
from app.settings.live import LiveSettings
from app.store.client import Store


def run(invocation: Invocation) -> int:
    """Raises SettingsError, CommandError."""
    settings, options = invocation.settings(), invocation.options
    check_gateway(settings)
    if not options.url:
        raise CommandError("explain: name the address: python -m app explain https://wiki.example.com/ --user alice")
    if options.address is not None and not is_address(options.address):
        raise CommandError(f"--from: {options.address}: must be an IP address")
    try:
        subject = _subject(settings, options)
        found = explain(parse_rules(_rules(settings)), options.url, options.method, subject, time.time())
    except (BadOriginalRequest, BadPath) as error:
        raise CommandError(f"the request gets 400: {error}") from None
    print("\n".join(_lines(found)))
    return 0


def _rules(settings: Settings) -> tuple[dict[str, Any], ...]:
    """The rules of the settings, or of the namespace that administrators change while the service runs."""
    live = LiveSettings(settings, SETTINGS_CHECKS)
    live.apply(own_values(settings) or {})
    return live.current.rules


def _subject(settings: Settings, options: argparse.Namespace) -> Subject:
    """The subject, as if just signed in. Raises CommandError."""
    if options.user is None:
        return Subject(address=options.address)

    async def find(store: Store) -> Subject:
        user = await AccountStore(store).by_name(options.user)
        if user is None or user.disabled:
            raise CommandError(f"--user: {options.user}: there is no such user, or the account is disabled")
        groups = frozenset(user.groups) | frozenset(filter(None, options.groups.split(",")))
        email = user.email if user.email_verified else ""
        return Subject(user.name, email, groups, time.time(), options.address)

    return with_store(settings, find)


def _lines(found: Explanation) -> list[str]:
    decision = found.decision
    lines = [f"{found.effect}: {found.reason}"]
    if decision.rule:
        lines.append(f"rule {decision.rule} decides, for the path {decision.reading.decode(errors='replace')}")
    if found.skipped:
        lines.append(f"not for this request: rule {', '.join(map(str, found.skipped))}")
    return lines


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", nargs="?", metavar="URL")
    parser.add_argument("--user", metavar="NAME")
    parser.add_argument("--method", default="GET")
    parser.add_argument("--from", dest="address", metavar="ADDRESS")
    parser.add_argument("--groups", default="", metavar="NAMES")


command = Command(run, _add_options)
