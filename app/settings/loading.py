"""Makes the settings of a process from all their sources."""

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from app.settings.fields import FORMER_NAMES, TABLES, Settings
from app.settings.sources import (
    CONFIG_VARIABLE,
    PREFIX,
    SettingsError,
    dotenv,
    from_variables,
    merged,
    own_variables,
    toml,
    with_present_names,
)


def load_settings(arguments: Mapping[str, str] | None = None, config: str | None = None) -> Settings:
    """The settings of this process.

    `arguments` are values of the command line by setting name; `config` is the TOML file's path
    (otherwise `TALLYGATE_CONFIG`). Raises SettingsError.
    """
    variables = own_variables({**dotenv(Path(".env")), **os.environ})
    config = config or variables.get(CONFIG_VARIABLE)
    variables.pop(CONFIG_VARIABLE, None)
    names = {*Settings.model_fields, *FORMER_NAMES}
    file = with_present_names(toml(Path(config)) if config else {}, FORMER_NAMES)
    environment = with_present_names(from_variables(variables, names, TABLES), FORMER_NAMES)
    try:
        return Settings(**merged(file, environment, arguments or {}))
    except ValidationError as error:
        raise SettingsError(_first_line(error)) from None


def _first_line(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    name = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        return f"{name}: there is no such setting; `python -m app --help` lists them"
    return f"{name} ({PREFIX}{name.upper().replace('.', '__')}): {message}" if name else message
