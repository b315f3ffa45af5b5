"""Is the process alive, and should it be sent requests?"""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.store.client import ResponseError, StoreUnavailable
from app.store.keys import HITS_TOTALS
from app.web.lifespan import WebState
from app.web.responses import json_response


async def live(request: Request[WebState]) -> Response:
    """200 for as long as a restart would mend nothing: it would not bring Redis back."""
    if request.state["lifecycle"].broken:
        return json_response({"status": "broken", "reason": "background work has stopped: see the log"}, 503)
    return json_response({"status": "live"})


async def ready(request: Request[WebState]) -> Response:
    """200 when requests may come; 503, with the reason, while stopping, broken or without Redis."""
    if request.state["lifecycle"].leaving:
        return json_response({"status": "unavailable", "reason": "stopping"}, 503)
    if request.state["lifecycle"].broken:
        return json_response({"status": "unavailable", "reason": "background work has stopped: see the log"}, 503)
    try:
        await request.state["store"].idempotent("EXISTS", HITS_TOTALS)
    except (StoreUnavailable, ResponseError) as error:
        return json_response({"status": "unavailable", "reason": f"redis: {error}"}, 503)
    return json_response({"status": "ready"})


routes = [Route("/live", live), Route("/ready", ready)]
