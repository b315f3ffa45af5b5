"""Starlette's router, but it does not ask each route in turn: with 270 routes that takes longer than most handlers."""

from collections.abc import Awaitable, Sequence
from typing import Any

from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match, Route, Router
from starlette.types import Lifespan, Receive, Scope, Send

from app.web.route_table import RouteTable


class ExactRouter(Router):
    """Matches as Starlette's router does, only faster. There are no redirects to or from a trailing slash."""

    def __init__(self, routes: Sequence[BaseRoute], lifespan: Lifespan[Any]) -> None:
        super().__init__(routes, redirect_slashes=False, lifespan=lifespan)
        self.table = RouteTable(routes)
        self._allowed: dict[str, set[str]] = {}
        for method, path in self.table.exact:
            self._allowed.setdefault(path, set()).add(method)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:  # type: ignore[override]
        route = self.table.find(scope["method"], scope["path"]) if scope["type"] == "http" else None
        if route is None and scope["type"] == "http" and scope["path"] in self._allowed:
            # Starlette would name only the methods of the path's first route.
            raise HTTPException(405, headers={"Allow": ", ".join(sorted(self._allowed[scope["path"]]))})
        if route is None or scope["root_path"]:
            return self._search(scope, receive, send)
        _, found = route.matches(scope) if route.param_convertors else (None, {"path_params": {}})
        scope.update(found, route=route, endpoint=route.endpoint)
        return route.app(scope, receive, send)

    async def _search(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Asks Starlette. Its 405 names the methods of the first route that has the path; others may have it, too."""
        try:
            await super().__call__(scope, receive, send)
        except HTTPException as error:
            matching = [route for route in self.routes if route.matches(scope)[0] is not Match.NONE]
            methods = {method for route in matching if isinstance(route, Route) for method in route.methods or ()}
            if error.status_code != 405 or not methods:
                raise
            raise HTTPException(405, headers={"Allow": ", ".join(sorted(methods))}) from None
