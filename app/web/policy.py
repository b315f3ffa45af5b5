"""Exceptions of the middleware for routes that other sites' pages or proxies use."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.routing import Route


@dataclass(frozen=True, slots=True)
class RoutePolicy:
    cross_site: bool = False
    """Requests that change something may come from pages of other sites. The route must not trust cookies."""
    any_host: bool = False
    """The Host header is not checked."""
    security_headers: bool = True
    """Responses get those of every response; otherwise those alone that the endpoint sets."""
    in_popup: bool = False
    """Services open the page in a pop-up, which keeps its opener only if no page on its way cuts it off."""
    error_headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of error responses: those of the endpoint itself are for its own responses only."""
    max_body_bytes: int | None = None
    """The largest body, where it is not `max_body_bytes` of the settings; the route reads it in pieces."""


DEFAULT_POLICY = RoutePolicy()
IN_POPUP = RoutePolicy(in_popup=True)


class PolicyRoute(Route):
    """A route with a policy of its own. `head=False`: GET changes something, so HEAD is refused (RFC 9110, 9.3.2)."""

    def __init__(
        self,
        path: str,
        endpoint: Callable[..., Any],
        *,
        policy: RoutePolicy = DEFAULT_POLICY,
        methods: list[str] | None = None,
        name: str | None = None,
        head: bool = True,
    ) -> None:
        super().__init__(path, endpoint, methods=methods, name=name)
        self.policy = policy
        if not head and self.methods is not None:
            self.methods.discard("HEAD")


def policy_of(route: Route | None) -> RoutePolicy:
    return route.policy if isinstance(route, PolicyRoute) else DEFAULT_POLICY
