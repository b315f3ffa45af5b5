"""Every setting: `fields` declares them, `sources` says where their values come from, `loading` puts them together,
`docs` writes their manual.
"""

from app.settings.fields import DEVELOPMENT_KEY, Settings
from app.settings.loading import load_settings
from app.settings.sources import CONFIG_VARIABLE, PREFIX, SettingsError

__all__ = ["CONFIG_VARIABLE", "DEVELOPMENT_KEY", "PREFIX", "Settings", "SettingsError", "load_settings"]
