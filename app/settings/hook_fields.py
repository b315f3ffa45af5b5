"""Settings of hooks and webhooks."""

from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, NoDecode


class HookSettings(BaseSettings):
    webhook_timeout: float = Field(
        10.0, gt=0, le=60, description="Seconds until a webhook's receiver that has not answered counts as failed."
    )
    webhook_retries: Annotated[tuple[Annotated[float, Field(ge=0, le=2_592_000)], ...], NoDecode] = Field(
        (5, 60, 300, 1800, 7200, 21_600, 43_200, 86_400),
        max_length=50,
        description="Seconds before each further attempt of a delivery, separated by commas.",
    )
    webhook_retention_days: int = Field(
        7, ge=1, le=400, description="Days for which events and deliveries are kept, at least while they are pending."
    )
    webhook_max_events: int = Field(
        100_000, ge=100, le=10_000_000, description="Events that are kept; a million take some 320 MB of Redis."
    )
    webhook_max_deliveries: int = Field(
        10_000, ge=10, le=1_000_000, description="Deliveries of each webhook that are kept; 10,000 take 6 MB of Redis."
    )
    counter_reached: Annotated[tuple[Annotated[int, Field(ge=1, le=10**14)], ...], NoDecode] = Field(
        (1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000),
        max_length=100,
        description="Totals of a counter, separated by commas, that raise `counter.reached`.",
    )
    site_reached: Annotated[tuple[Annotated[int, Field(ge=1, le=10**14)], ...], NoDecode] = Field(
        (1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000),
        max_length=100,
        description="Visits of a site, separated by commas, that raise `site.reached`.",
    )
    store_lost_after: float = Field(
        1.0, ge=0, le=3600, description="Seconds for which Redis has to be away to raise `store.lost` and `store.back`."
    )
    hooks: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Modules, separated by commas, whose functions are called at events (see docs/hooks.md)."
    )
    hooks_fail: Literal["refuse", "allow"] = Field(
        "refuse", description="What a hook before a step means that raises or is late: the step is refused, or allowed."
    )
