"""Routes with a policy of their own, and fast endpoints below a prefix."""

import contextlib
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Scope

from app.routes import all_routes
from app.settings import Settings
from app.web.fast_path import FastEndpoint, FastResponse, StaticHeaders
from app.web.policy import PolicyRoute, RoutePolicy
from app.web.router import ExactRouter
from tests.helpers.service import running

CROSS_SITE = {"Origin": "https://other.example", "Sec-Fetch-Site": "cross-site"}
TEAPOT = StaticHeaders((b"cross-origin-resource-policy", b"cross-origin"), status=418)
EMPTY = StaticHeaders(status=204)


class Fast(FastEndpoint):
    """Answers by the last letter of the path."""

    def try_fast(self, scope: Scope) -> FastResponse | None:
        return {"t": (TEAPOT, b"tea"), "e": (EMPTY, b"")}.get(scope["path"][-1])

    async def handle(self, scope: Scope) -> FastResponse:
        return TEAPOT, b"slow"


async def length(request: Request) -> Response:
    return Response(str(len(await request.body())))


ROUTES: list[BaseRoute] = [
    Route("/fast/{name:path}", Fast()),
    PolicyRoute("/open/{name}", length, methods=["POST"], policy=RoutePolicy(cross_site=True, any_host=True)),
    PolicyRoute("/large", length, methods=["POST"], policy=RoutePolicy(max_body_bytes=100_000)),
    Route("/small", length, methods=["POST"]),
    # None of these takes the place of another one, though they begin alike.
    Route("/alike/{name}", Fast()),
    Route("/alike/{name}/e/{other}", Fast()),
    Route("/alike/{name}/plain", length),
    Route("/alike/near/{name}", Fast()),
    PolicyRoute("/alike/{name}/open", length, methods=["POST"], policy=RoutePolicy(cross_site=True)),
    Route("/alike/{name}/closed", length, methods=["POST"]),
]


@pytest.fixture(autouse=True)
def more_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.main.all_routes", lambda *_: [*all_routes(), *ROUTES])


async def test_a_response_keeps_security_headers_of_its_own(client: httpx.AsyncClient) -> None:
    answer = await client.get("/fast/a/b/t")
    assert (answer.status_code, answer.text) == (418, "tea")
    assert answer.headers.get_list("cross-origin-resource-policy") == ["cross-origin"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (await client.get("/fast/x")).text == "slow"
    assert (await client.get("/fast/e")).status_code == 204


async def test_route_policy_opens_a_route_to_other_sites(make_settings: Callable[..., Settings]) -> None:
    async with running(make_settings(allowed_hosts="tallygate.test")) as service:
        client = service.client
        assert (await client.post("/open/x", headers=CROSS_SITE | {"Host": "elsewhere.example"})).status_code == 200
        assert (await client.post("/small", headers=CROSS_SITE)).status_code == 403
        assert (await client.post("/small", headers={"Host": "elsewhere.example"})).status_code == 400


async def test_a_fast_endpoint_answers_for_its_whole_path_alone() -> None:
    table = ExactRouter(ROUTES, lifespan=lambda _: contextlib.nullcontext()).table
    templates = {
        "/alike/x": "/alike/{name}",
        "/alike/x/e/e": "/alike/{name}/e/{other}",
        "/alike/x/plain": "/alike/{name}/plain",
        "/alike/near/x": "/alike/near/{name}",
        "/alike/near/plain": "/alike/{name}/plain",
        "/fast/a/b/c": "/fast/{name:path}",
    }
    for path, template in templates.items():
        route = table.find("GET", path)
        assert route is not None
        assert route.path == template
    for path in ("/alike/", "/alike/x/", "/alike/x/y", "/alikex", "", "/", "/" * 5000, "alike"):
        assert table.find("GET", path) is None
    assert table.find("GET", "/alike/x/closed") is None
    assert table.find("POST", "/alike/x/closed") is not None


async def test_a_policy_is_for_its_own_template_and_method_alone(client: httpx.AsyncClient) -> None:
    assert (await client.post("/alike/x/open", headers=CROSS_SITE)).status_code == 200
    for method, path in (
        ("POST", "/alike/x/closed"), ("POST", "/alike/x"), ("PUT", "/alike/x/open"), ("POST", "/alike/x/open/more"),
    ):  # fmt: skip
        assert (await client.request(method, path, headers=CROSS_SITE)).status_code == 403, path


async def test_a_route_has_its_own_limit_of_bodies(make_settings: Callable[..., Settings]) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield b"a" * 1000

    async with running(make_settings(max_body_bytes=10_000)) as service:
        for path, status in (("/large", 200), ("/small", 413)):
            assert (await service.client.post(path, content=b"a" * 50_000)).status_code == status
            assert (await service.client.post(path, content=pieces())).status_code == status
        assert (await service.client.post("/large", content=b"a" * 100_001)).status_code == 413
