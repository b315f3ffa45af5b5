"""What the lifespan opens and every handler finds in `request.state`; features add what is theirs."""

from typing import TypedDict

from app.server.lifecycle import Lifecycle
from app.settings import Settings
from app.store.client import Store
from app.web.templating import Pages


class WebState(TypedDict):
    settings: Settings
    store: Store
    pages: Pages
    lifecycle: Lifecycle
