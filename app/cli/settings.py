"""`python -m app settings`: prints docs/settings.md; with `--now`, the values that can be changed while it runs."""

import orjson

from app.cli.command import Command, CommandError, Invocation
from app.cli.own_namespace import NOT_READ, own_values
from app.config_service.models import OWN
from app.main import SETTINGS_CHECKS
from app.settings.docs import settings_manual
from app.settings.live import RUNTIME, SECRET, LiveSettings, Values


def run(invocation: Invocation) -> int:
    if not invocation.options.now:
        print(settings_manual(), end="")
        return 0
    settings = invocation.settings()
    values = own_values(settings)
    if values is None:
        raise CommandError(NOT_READ)
    live = LiveSettings(settings, SETTINGS_CHECKS)
    live.apply(values)
    print("\n".join(_lines(live, values)))
    return 0


def _lines(live: LiveSettings, values: Values) -> list[str]:
    """A line for each setting: its value and where it comes from. Of tables with secrets only the names are told."""
    lines = []
    for name, value in live.current.model_dump(include=set(RUNTIME)).items():
        shown = sorted(value) if name in SECRET else value
        sources = [
            source
            for source, has in (
                ("file, environment or command line", name in live.own.model_fields_set),
                (f"namespace {OWN}", name in values and getattr(live.current, name) != getattr(live.own, name)),
            )
            if has
        ]
        lines.append(f"{name} = {orjson.dumps(shown).decode()}  # {' and '.join(sources) or 'default'}")
    return lines


command = Command(run, lambda parser: parser.add_argument("--now", action="store_true"))
