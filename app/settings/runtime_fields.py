"""Settings that exist to be changed while the service runs. Others may be, too: RUNTIME in app/settings/live.py."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic_settings import BaseSettings, NoDecode


class RateLimit(BaseModel):
    """Allows `times` requests at once; the allowance refills evenly within `seconds`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    times: int = Field(ge=1, le=1_000_000)
    seconds: int = Field(ge=1, le=30 * 86_400)


class RuntimeSettings(BaseSettings):
    announcement: str = Field(
        "", max_length=500, description="A sentence above all pages, such as a maintenance that is due; plain text."
    )
    rate_limits: Annotated[dict[str, RateLimit], NoDecode] = Field(
        {},
        description="Other rate limits than the usual ones, by name, as JSON: "
        '`{"sign-in-account": {"times": 10, "seconds": 300}}` (names: docs/configuration.md).',
    )
