"""Every setting: `fields` declares them, `sources` says where their values come from, `docs` writes their manual."""

from app.settings.fields import DEVELOPMENT_KEY, Settings, load_settings
from app.settings.sources import CONFIG_VARIABLE, PREFIX, SettingsError

__all__ = ["CONFIG_VARIABLE", "DEVELOPMENT_KEY", "PREFIX", "Settings", "SettingsError", "load_settings"]
