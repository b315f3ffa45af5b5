"""Finds the route of a request by its method and whole path, without asking every route."""

from collections.abc import Callable, Sequence
from functools import lru_cache

from starlette.routing import BaseRoute, Route

MAX_CACHED, MAX_CACHED_LENGTH = 4096, 100
"""Paths whose route is cached, and their maximum length."""
Matches = Callable[[str], object]


class RouteTable:
    """Routes without parameters by their path; those with parameters by the literal part in front of the first one:
    `/api/sites/` of `/api/sites/{id}/stats`. Of several that match, the first of the list is found, as by Starlette.
    """

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self.exact: dict[tuple[str, str], Route] = {}
        self._below: dict[str, list[tuple[int, Matches, Route]]] = {}
        for number, route in enumerate(routes):
            if not isinstance(route, Route):
                continue
            if route.param_convertors or route.methods is None:  # None: every method
                self._below.setdefault(literal_part(route.path), []).append((number, route.path_regex.match, route))
            else:
                for method in route.methods:
                    self.exact.setdefault((method, route.path), route)
        self._cached = lru_cache(maxsize=MAX_CACHED)(self._search)
        self._depth = max((prefix.count("/") for prefix in self._below), default=0)

    def find(self, method: str, path: str) -> Route | None:
        """The route that handles the request; None where there is none (404, 405, a mounted application)."""
        route = self.exact.get((method, path))
        if route is not None:
            return route
        return self._cached(method, path) if len(path) <= MAX_CACHED_LENGTH else self._search(method, path)

    def _search(self, method: str, path: str) -> Route | None:
        first, end = None, 0
        for _ in range(self._depth):
            end = path.find("/", end) + 1
            if not end:
                break
            for candidate in self._below.get(path[:end], ()):
                number, matches, route = candidate
                if first is not None and number > first[0]:
                    break
                if (route.methods is None or method in route.methods) and matches(path):
                    first = candidate
                    break
        return first[2] if first is not None else None


def literal_part(template: str) -> str:
    """`/c/` of `/c/{hit:path}`."""
    return template.partition("{")[0].rpartition("/")[0] + "/"
