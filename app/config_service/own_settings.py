"""Tallygate's own settings in the namespace `tallygate`: validated before a write, applied by every worker."""

from collections.abc import Mapping

import structlog

from app.config_service.models import OWN, Namespace
from app.config_service.secret_values import SecretValues
from app.config_service.watch import visible
from app.settings.live import SECRET, LiveSettings, Unfit, Values, runtime_schema
from app.web.errors import Unprocessable
from app.web.i18n import N_

HELP: Mapping[str, str] = {
    "registration": N_("Who may sign up: no one, people with an invitation link, or everyone."),
    "second_factor": N_("Who has to have a passkey or an authenticator app."),
    "announcement": N_("A sentence above all pages, such as a maintenance that is due."),
    "rate_limits": N_("Limits that differ from the usual ones, by name."),
    "max_body_bytes": N_("The largest request body, in bytes."),
    "max_streams": N_("How many streams and waiting requests a worker keeps open."),
    "max_import_bytes": N_("The largest file of visits to import, in bytes."),
    "rules": N_("Who may see which protected sites: a list of rules."),
    "oauth": N_("Providers to sign in with, by name."),
    "clients": N_("Services that sign people in here, by id."),
}
"""The description of each setting on the page."""


def empty_namespace() -> Namespace:
    """The namespace before its first change. Its schema is that of this version of Tallygate."""
    return Namespace(OWN, version=1, revision=0, items={}, schema=runtime_schema(), secret_keys=SECRET)


class OwnSettings:
    def __init__(self, live: LiveSettings, secret_values: SecretValues) -> None:
        self._live = live
        self._secret_values = secret_values

    def check(self, before: Values, after: Values) -> None:
        """Ignores unchanged values that a file has locked meanwhile. Raises Unprocessable."""
        left = dict(after)
        while True:
            try:
                self._live.with_values(left)
                return
            except Unfit as unfit:
                name = unfit.setting
                if name not in left or name not in before or before[name] != left[name]:
                    raise Unprocessable(str(unfit), key=name, rule=unfit.rule, field=name) from None
                del left[name]

    def follow(self, namespace: Namespace) -> None:
        if namespace.name == OWN:
            for unfit in self._live.apply(visible(namespace, self._secret_values, secrets=True)):
                structlog.get_logger("app").warning("a setting of the namespace does not hold", why=str(unfit))
