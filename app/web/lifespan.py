"""The request state that every handler has; a feature adds its own in its lifespan.py."""

from app.observability.health import HealthState
from app.settings import Settings
from app.settings.live import LiveSettings
from app.store.client import Store
from app.store.rate_limit import RateLimiter
from app.store.tracking import Tracking
from app.web.templating import Pages


class WebState(HealthState):
    settings: Settings
    """As they were when the request began."""
    live_settings: LiveSettings
    store: Store
    pages: Pages
    rate_limiter: RateLimiter
    tracking: Tracking
