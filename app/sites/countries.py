"""Looks up countries of addresses in a database of the operator (MaxMind's format)."""

from pathlib import Path
from typing import TYPE_CHECKING

from app.lazy import LazyModule
from app.settings import SettingsError

if TYPE_CHECKING:
    import maxminddb
else:
    maxminddb = LazyModule("maxminddb")


class Countries:
    """Without a file every country is unknown."""

    def __init__(self, file: Path | None) -> None:
        """Raises SettingsError for a file that is no database."""
        self._reader: maxminddb.Reader | None = None
        self.known = file is not None
        if file is not None:
            try:
                self._reader = maxminddb.open_database(str(file))
            except (OSError, ValueError, maxminddb.InvalidDatabaseError) as error:
                raise SettingsError(f"geoip_file (TALLYGATE_GEOIP_FILE): {error}") from None

    def of(self, address: str) -> str:
        """The country's ISO code; empty for private and unknown addresses."""
        if self._reader is None:
            return ""
        try:
            record = self._reader.get(address)
        except (ValueError, maxminddb.InvalidDatabaseError):
            return ""
        country = record.get("country") or record.get("registered_country") if isinstance(record, dict) else None
        code = country.get("iso_code") if isinstance(country, dict) else None
        return code if isinstance(code, str) and len(code) == 2 else ""

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
