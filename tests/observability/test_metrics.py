"""What Prometheus is told."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.observability.metrics import BUCKETS, Metrics, Reading
from app.settings import Settings, SettingsError
from tests.helpers.service import ROOT, process, running
from tests.helpers.sockets import PATIENCE, free_port, get
from tests.helpers.valkey import Valkey
from tests.helpers.waiting import until

TOKEN = "a-token-of-the-tests"
WITH_TOKEN = {"Authorization": f"Bearer {TOKEN}"}
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(text: str) -> Samples:
    """Every sample by its name and labels; fails on what is not Prometheus' format."""
    families = list(text_string_to_metric_families(text))
    assert all(family.documentation for family in families)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def requests(found: Samples, route: str, status: str) -> float:
    return found.get(("tallygate_requests_total", (("route", route), ("status", status))), 0.0)


async def scraped(client: httpx.AsyncClient) -> Samples:
    answer = await client.get("/metrics", headers=WITH_TOKEN)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return samples(answer.text)


async def test_requests_are_counted_by_route_and_status(make_settings: Callable[..., Settings]) -> None:
    async with running(make_settings(metrics_token=TOKEN)) as service:
        for path in ["/api/visits"] * 3 + ["/nowhere", "/elsewhere", "/static/style.css", "/static/logo.svg"]:
            await service.client.get(path)
        await service.client.post("/language", data={"locale": "tlh"})
        found = await scraped(service.client)
    assert requests(found, "/api/visits", "2xx") == 3
    assert requests(found, "other", "4xx") == 2  # no label of its own for whatever somebody asks for
    assert requests(found, "/static", "2xx") == 2
    assert requests(found, "/language", "4xx") == 1
    assert requests(found, "/live", "2xx") == 0


async def test_durations_are_a_histogram(make_settings: Callable[..., Settings]) -> None:
    async with running(make_settings(metrics_token=TOKEN)) as service:
        for _ in range(5):
            await service.client.get("/live")
        found = await scraped(service.client)
    name = "tallygate_request_duration_seconds"
    route = ("route", "/live")
    buckets = [found[f"{name}_bucket", (("le", str(bound)), route)] for bound in (*BUCKETS, "+Inf")]
    assert buckets == sorted(buckets)
    assert buckets[-1] == found[f"{name}_count", (route,)] == 5
    assert 0 < found[f"{name}_sum", (route,)] < 60


def test_a_duration_is_in_the_bucket_up_to_its_bound() -> None:
    metrics = Metrics(["/"], None)
    for seconds in (0.001, 0.0011, 2.5, 60.0):
        metrics.request("/", 200, seconds)
    found = samples(bytes(metrics.response().body).decode())
    by_bound = {labels[0][1]: value for (name, labels), value in found.items() if name.endswith("_seconds_bucket")}
    assert (by_bound["0.001"], by_bound["0.0025"], by_bound["2.5"], by_bound["+Inf"]) == (1, 2, 3, 4)


async def test_visit_metrics_are_exported(make_settings: Callable[..., Settings]) -> None:
    async with running(make_settings(metrics_token=TOKEN)) as service:
        await asyncio.gather(*(service.client.get("/") for _ in range(20)))
        found = await scraped(service.client)
    assert found["tallygate_visits_total", ()] == 20
    assert found["tallygate_visits_waiting", ()] == 0
    assert found["tallygate_visits_dropped_total", ()] == 0
    assert 1 <= found["tallygate_batches_total", ()] <= 20
    assert found["tallygate_redis_commands_total", ()] >= 1
    assert found["tallygate_redis_connections_total", ()] >= 1
    assert found["tallygate_streams", ()] == 0
    assert [labels for name, labels in found if name == "tallygate_build_info"]


async def test_every_metric_is_in_the_manual(make_settings: Callable[..., Settings]) -> None:
    wechat = {"shop": {"appid": "wx-shop", "secret": "secret"}}
    async with running(make_settings(metrics_token=TOKEN, wechat=wechat)) as service:
        exported = (await service.client.get("/metrics", headers=WITH_TOKEN)).text
    manual = (ROOT / "docs/operations.md").read_text("utf-8")
    assert [name for name in re.findall(r"^# TYPE (\S+)", exported, re.MULTILINE) if f"`{name}" not in manual] == []


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer é"]
)
@pytest.mark.parametrize("token", [None, TOKEN])
async def test_metrics_need_the_token(
    token: str | None, authorization: str | None, make_settings: Callable[..., Settings]
) -> None:
    async with running(make_settings(metrics_token=token)) as service:
        headers = {} if authorization is None else {b"Authorization": authorization.encode()}
        answer = await service.client.get("/metrics", headers=headers)
        nowhere = await service.client.get("/nowhere")
    assert answer.status_code == nowhere.status_code == 404
    assert answer.headers["content-type"] == nowhere.headers["content-type"]


async def test_unset_token_hides_metrics(make_settings: Callable[..., Settings]) -> None:
    async with running(make_settings(metrics_token="")) as service:
        assert (await service.client.get("/metrics", headers={"Authorization": "Bearer "})).status_code == 404


async def test_metrics_port_needs_no_token_and_closes_with_the_service(
    make_settings: Callable[..., Settings],
) -> None:
    port = free_port()
    own = f"http://127.0.0.1:{port}"
    async with running(make_settings(metrics_port=port)) as service:
        await service.client.get("/live")
        async with httpx.AsyncClient(base_url=own, timeout=PATIENCE, verify=False) as scraper:
            answer = await scraper.get("/metrics")
            assert requests(samples(answer.text), "/live", "2xx") == 1
            assert (await scraper.get("/")).status_code == 404
        assert (await service.client.get("/metrics")).status_code == 404
    async with httpx.AsyncClient(base_url=own, verify=False) as scraper:
        with pytest.raises(httpx.ConnectError):
            await scraper.get("/metrics")


def test_replacement_worker_continues_its_counters(tmp_path: Path) -> None:
    totals = []
    for _ in range(3):
        metrics = Metrics(["/"], tmp_path / "metrics")
        metrics.add(Reading("visits", "Visits.", lambda: 5, counter=True), Reading("streams", "Streams.", lambda: 5))
        metrics.request("/", 200, 0.1)
        found = samples(bytes(metrics.response().body).decode())
        totals.append((found["visits_total", ()], found["streams", ()], requests(found, "/", "2xx")))
        metrics.close()
    assert totals == [(5, 5, 1), (10, 5, 2), (15, 5, 3)]


def test_metrics_file_of_another_version_is_replaced(tmp_path: Path) -> None:
    before = Metrics(["/a", "/b"], tmp_path / "metrics")
    before.add(Reading("visits", "Visits.", lambda: 1000, counter=True))
    before.request("/a", 200, 3.0)
    before.gather()
    before.close()
    metrics = Metrics(["/new", "/a"], tmp_path / "metrics")
    metrics.request("/new", 200, 0.1)
    found = samples(bytes(metrics.response().body).decode())
    assert [value for (name, _), value in found.items() if name == "tallygate_requests_total"] == [1]


def test_a_file_in_use_by_a_version_with_other_routes_is_left_to_it(tmp_path: Path) -> None:
    metrics = Metrics(["/a"], tmp_path / "metrics")
    program = "import sys, pathlib, app.observability.metrics as m; m.Metrics(['/a', '/b'], pathlib.Path(sys.argv[1]))"
    command = [sys.executable, "-c", program, str(tmp_path / "metrics")]
    other = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert "is in use by another version" in other.stderr
    metrics.request("/a", 200, 0.1)
    metrics.close()


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"metrics_file: .* cannot be written"):
        Metrics(["/"], tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_counters_do_not_fall_after_a_kill(server: Valkey, tmp_path: Path) -> None:
    settings = {"workers": "2", "port": "0", "redis_url": server.url, "metrics_token": TOKEN}
    with process(tmp_path, **settings) as service:
        url = service.url()

        def scrape() -> Samples:
            return samples(get(f"{url}/metrics", headers=WITH_TOKEN).text)

        def visits() -> float:
            return scrape()["tallygate_visits_total", ()]

        for _ in range(60):
            assert get(url).status_code == 200
        until(lambda: visits() == requests(scrape(), "/", "2xx") == 60)
        pids = service.workers
        os.kill(pids[0], signal.SIGKILL)
        least = 60.0
        deadline = time.monotonic() + PATIENCE
        while pids[0] in service.workers or len(service.workers) < 2:
            assert time.monotonic() < deadline
            least = min(least, _visits_or(visits, 60.0))
        for _ in range(40):
            assert get(url).status_code == 200
            least = min(least, visits())
        assert least == 60
        until(lambda: visits() == requests(scrape(), "/", "2xx") == 100)


def _visits_or(visits: Callable[[], float], otherwise: float) -> float:
    """The counter; a connection that the killed worker had accepted tells nothing."""
    try:
        return visits()
    except httpx.TransportError:
        return otherwise


def test_the_gauges_of_a_killed_worker_are_no_longer_counted(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys, pathlib; from app.observability.metrics import *\n"
        "metrics = Metrics(['/'], pathlib.Path(sys.argv[1])); gauge = Reading('streams', 'Streams.', lambda: 7)\n"
        "metrics.add(Reading('visits', 'Visits.', lambda: 5, counter=True), gauge); metrics.gather()\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    metrics = Metrics(["/"], tmp_path / "metrics")
    metrics.add(Reading("visits", "Visits.", lambda: 1, counter=True), Reading("streams", "Streams.", lambda: 1))
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "metrics")], cwd=ROOT, timeout=60, check=False)
    found = samples(bytes(metrics.response().body).decode())
    assert (found["visits_total", ()], found["streams", ()]) == (6, 1)
    metrics.close()


@pytest.mark.parametrize("token", ["a" * 20, "Schlüssel-für-Zähler"])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_scheme_has_any_case_and_the_token_any_letters(
    token: str, scheme: str, make_settings: Callable[..., Settings]
) -> None:
    async with running(make_settings(metrics_token=token)) as service:
        response = await service.client.get("/metrics", headers=[(b"authorization", f"{scheme} {token}".encode())])
    assert response.status_code == 200
