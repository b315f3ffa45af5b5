"""docs/settings.md, made from the settings themselves: `python -m app settings`."""

from inspect import get_annotations
from typing import Any, get_args

from pydantic import SecretStr

from app.settings.fields import Settings
from app.settings.hook_fields import HookSettings
from app.settings.live import RUNTIME
from app.settings.mail_fields import MailSettings
from app.settings.page_fields import PageSettings
from app.settings.runtime_fields import RuntimeSettings
from app.settings.session_fields import SessionSettings
from app.settings.sources import PREFIX

HEAD = """\
# Settings

This page is made by `make docs` (`python -m app settings`) from `app/settings/`; a test compares them.

A value is taken from the first of these that has it:

1. the command line: `python -m app --port 9000`; every setting is an option, `_` written as `-`;
2. the environment: `TALLYGATE_PORT=9000`;
3. a file `.env` in the working folder, with lines of the same form;
4. a file named by `TALLYGATE_<NAME>_FILE`, such as a mounted secret: `TALLYGATE_SECRET_KEY_FILE=/run/secrets/key`;
5. the TOML file named by `--config` or `TALLYGATE_CONFIG`: `port = 9000`;
6. the namespace `tallygate` of the configuration service, for the settings marked *at run time*: administrators change
   them while the service runs, and every worker follows (docs/configuration.md);
7. the default.

An empty variable counts as unset, and what Kubernetes tells every pod about a Service called `tallygate` is ignored.
An unknown name, a value that does not fit, or an insecure default in production stops the start with one line that
names the setting, and exit code 2. `python -m app check-config` only checks. `python -m app settings --now` prints what
can be changed at run time, the present values and where they come from.
"""
TABLE = """
## {title}

| setting | default | what it is for |
|---|---|---|
"""
GROUPS = {
    Settings: "The service",
    SessionSettings: "Sessions",
    MailSettings: "E-mail",
    PageSettings: "Pages",
    HookSettings: "Hooks and webhooks",
    RuntimeSettings: "Announcement and rate limits",
}
"""The title of each class' settings."""

TAIL = """\

## Redis

| what | `redis_url` |
|---|---|
| one server | `redis://user:password@redis.internal:6379/0` |
| TLS | `rediss://user:password@redis.internal:6380/0` (own authority: `?ssl_ca_certs=/etc/ssl/redis-ca.pem`) |
| a unix socket | `unix:///run/redis/redis.sock?db=0` |
| Sentinel | `redis+sentinel://user:password@sentinel-1:26379,sentinel-2:26379/service/0` (its own password: `?sentinel_password=...`; TLS: `rediss+sentinel://`) |
| Cluster | `redis+cluster://user:password@node-1:6379,node-2:6379` (TLS: `rediss+cluster://`) |
| none | the service runs a Valkey of its own, with its data in `data_dir` |

Valkey 7.2 and newer and Redis 7.0 and newer work. Turn `appendonly` on: the counter is as durable as the server.
"""  # noqa: E501  a table's rows cannot be broken


def settings_manual() -> str:
    """The Markdown text of docs/settings.md."""
    tables = [TABLE.format(title=title) + "".join(map(_row, get_annotations(group))) for group, title in GROUPS.items()]
    return HEAD + "".join(tables) + TAIL


def _row(name: str) -> str:
    field = Settings.model_fields[name]
    run_time = " *At run time.*" if name in RUNTIME else ""
    return (
        f"| `{name}`<br>`{PREFIX}{name.upper()}` | {_default(field.default)} | {field.description}{_choices(field)}"
        f"{run_time} |\n"
    )


def _default(value: Any) -> str:
    if isinstance(value, SecretStr):
        return "for development only"
    return "none" if value in (None, "", (), {}) else f"`{value}`"


def _choices(field: Any) -> str:
    options = [str(option) for option in get_args(field.annotation) if isinstance(option, str)]
    return f" One of {', '.join(f'`{option}`' for option in options)}." if options else ""
