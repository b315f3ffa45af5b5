"""The settings as they are now: those of this process, and below them those that administrators change while it runs,
in the namespace `tallygate` of the configuration service.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from pydantic import BaseModel, ValidationError, create_model

from app.settings.fields import Settings

RUNTIME = (
    "registration", "second_factor", "announcement", "rate_limits", "max_body_bytes", "max_streams", "max_import_bytes",
    "rules", "oauth", "clients",
)  # fmt: skip
"""The settings that can be changed while the service runs."""
BY_TABLE = frozenset({"oauth", "clients", "rate_limits"})
"""Of those, the ones whose tables come from both sources; each table as a whole from one."""
SECRET = frozenset({"oauth", "clients"})
"""Of those, the ones that hold secrets."""
LOCKED = "is locked: a file, the environment or the command line sets it"
Values = Mapping[str, Any]
Rebuild = Callable[[Settings], Mapping[str, Any]]
"""The part of a feature's request state that depends on settings."""
Check = Callable[[Settings], list[str]]
"""A line for each mistake that a feature finds; it begins with the setting's name."""


class Unfit(Exception):
    """A value is refused; the text is one line that begins with the setting's name. `rule` says what it breaks."""

    def __init__(self, line: str, rule: str) -> None:
        super().__init__(line)
        self.setting = line.partition(":")[0].partition(".")[0]
        self.rule = rule


class LiveSettings:
    """`own` are the settings of the command line, the environment and files: they win, and are locked.

    `state` is the request state that depends on settings. It is replaced as a whole, and requests take a copy as they
    begin: those under way finish under the old values.
    """

    def __init__(self, own: Settings, checks: Sequence[Check]) -> None:
        """`checks` are what features demand of a change. Mistakes in `own` are reported at the start."""
        self.own = own
        self.current = own
        self.state: dict[str, Any] = {"settings": own}
        self._checks = [(check, frozenset(check(own))) for check in checks]
        self._rebuilds: list[Rebuild] = []

    def follow(self, rebuild: Rebuild) -> None:
        """Registers a function that is called after each change."""
        self._rebuilds.append(rebuild)
        self.state |= rebuild(self.own)

    def locked(self) -> dict[str, Any]:
        """Values that this process' own sources lock: a setting's name, or `oauth.<name>` for a table -> the value."""
        found: dict[str, Any] = {}
        for name, value in self.own.model_dump(include=self.own.model_fields_set & set(RUNTIME)).items():
            found |= {f"{name}.{table}": value[table] for table in value} if name in BY_TABLE else {name: value}
        return found

    def with_values(self, values: Values) -> Settings:
        """The settings with these values of the namespace. Raises Unfit."""
        given = self.own.model_dump(include=self.own.model_fields_set)
        for name, value in values.items():
            if name not in RUNTIME:
                raise Unfit(f"{name}: there is no such setting, or it cannot be changed while the service runs", "name")
            own = given.get(name)
            if name in BY_TABLE and isinstance(value, Mapping):
                both = next((table for table in value if own and table in own), None)
                if both is not None:
                    raise Unfit(f"{name}.{both}: {LOCKED}", "locked")
                given[name] = {**value, **(own or {})}
            elif name in given:
                raise Unfit(f"{name}: {LOCKED}", "locked")
            else:
                given[name] = value
        try:
            settings = Settings(**given)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise Unfit(f"{where}: {first['msg'].removeprefix('Value error, ')}", first["type"]) from None
        for check, known in self._checks:
            mistake = next((line for line in check(settings) if line not in known), None)
            if mistake is not None:
                raise Unfit(mistake, "setting")
        return settings

    def apply(self, values: Values) -> list[Unfit]:
        """Applies the values of the namespace. Returns those that are invalid, which are left out."""
        left, unfit, settings = dict(values), [], self.own
        while left:
            try:
                settings = self.with_values(left)
                break
            except Unfit as error:
                unfit.append(error)
                if error.setting in left:
                    del left[error.setting]
                else:
                    left = {}
        state: dict[str, Any] = {"settings": settings}
        for rebuild in self._rebuilds:
            state |= rebuild(settings)
        self.current, self.state = settings, state
        return unfit


@cache
def runtime_schema() -> dict[str, Any]:
    """The JSON Schema of the namespace, made from the model of the settings; not to be changed."""
    fields = Settings.model_fields
    chosen: dict[str, Any] = {name: (fields[name].annotation, fields[name]) for name in RUNTIME}
    model: type[BaseModel] = create_model("RuntimeSettings", **chosen)
    schema = model.model_json_schema()
    for field in schema["properties"].values():
        field.pop("title", None)
    schema.pop("title")
    return schema | {"additionalProperties": False}
