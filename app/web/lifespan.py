"""The request state that every handler has; a feature adds its own in its lifespan.py."""

from typing import Any, Protocol

from starlette.types import Scope

from app.observability.health import HealthState
from app.settings import Settings
from app.settings.live import LiveSettings
from app.store.client import Store
from app.store.rate_limit import RateLimiter
from app.store.tracking import Tracking
from app.web.streams import OpenStreams
from app.web.templating import Pages


class ErrorHeader(Protocol):
    """Makes the variables of the header of an error page."""

    async def __call__(self, scope: Scope) -> dict[str, Any]:
        """The page's variables. Raises StoreUnavailable."""


class WebState(HealthState):
    settings: Settings
    """As they were when the request began."""
    live_settings: LiveSettings
    store: Store
    pages: Pages
    rate_limiter: RateLimiter
    tracking: Tracking
    streams: OpenStreams
