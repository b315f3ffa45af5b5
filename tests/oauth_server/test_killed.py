"""kill -9 of the service or of its store amid exchanges of codes, refreshes, pushed requests and device codes:
nothing is good twice, and nothing that was confirmed is lost.
"""

import json
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path

import httpx
import pytest

from app.oauth_server.store import REFRESH_GRACE
from tests.helpers.cast import PASSWORD
from tests.helpers.fault_scenarios import times
from tests.helpers.service import Process, process
from tests.helpers.sockets import PATIENCE, free_port
from tests.helpers.valkey import Valkey, valkey
from tests.helpers.waiting import until
from tests.oauth_server.conftest import BACK, CHALLENGE, SECRET, VERIFIER

pytestmark = [pytest.mark.faults, pytest.mark.slow]
COUNT, MANY, MANY_ALLOWED = 6, 12, 8
"""The user may enter ten codes in five minutes."""
APP = {"secret": SECRET, "redirect_uris": [BACK], "first_party": True, "device": True}
QUERY = {
    "client_id": "app", "redirect_uri": BACK, "response_type": "code", "scope": "openid",
    "code_challenge": CHALLENGE, "code_challenge_method": "S256",
}  # fmt: skip
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture
def store(short_folder: Path) -> Iterator[Valkey]:
    """Keeps what it has confirmed: with `appendfsync everysec` a crash loses the last second."""
    with valkey(short_folder / "store", "--appendfsync", "always") as server:
        yield server


class Service:
    """A service that is killed and started again at the same address."""

    def __init__(self, folder: Path, store: Valkey) -> None:
        self._folder, self._port = folder, str(free_port())
        self._settings = {"redis_url": store.url, "registration": "open", "clients": json.dumps({"app": APP})}
        self._settings["public_url"] = self.url = f"http://127.0.0.1:{self._port}"
        self._cookies = httpx.Cookies()

    def running(self) -> AbstractContextManager[Process]:
        return process(self._folder, port=self._port, **self._settings)

    def sign_up(self) -> None:
        answer = httpx.post(f"{self.url}/sign-up", data={"username": "bob", "password": PASSWORD})
        assert answer.status_code == 303
        self._cookies = answer.cookies

    def code(self) -> str:
        code = self._code(QUERY)
        assert code is not None
        return code

    def pushed(self) -> str:
        answer = self.push()
        assert answer is not None
        return answer["request_uri"]

    def push(self) -> dict[str, str] | None:
        return self._confirmed("/oauth2/par", QUERY)

    def authorize(self, request_uri: str) -> str | None:
        return self._code({"client_id": "app", "request_uri": request_uri})

    def device_code(self) -> str:
        """One that the user has allowed."""
        device = self.begin_device()
        assert device is not None
        assert self.allow(device)
        return device["device_code"]

    def begin_device(self) -> dict[str, str] | None:
        return self._confirmed("/oauth2/device_authorization", {"scope": "openid"})

    def allow(self, device: dict[str, str]) -> bool:
        """Whether the page has confirmed it."""
        form = {"user_code": device["user_code"], "answer": "allow"}
        try:
            answer = httpx.post(f"{self.url}/device", data=form, cookies=self._cookies, timeout=PATIENCE, verify=False)
        except httpx.TransportError:
            return False
        return answer.status_code == 200

    def poll(self, device_code: str) -> dict[str, str] | None:
        return self._tokens({"grant_type": DEVICE, "device_code": device_code})

    def error_of_poll(self, device_code: str) -> str:
        form = {"grant_type": DEVICE, "device_code": device_code}
        answer = httpx.post(f"{self.url}/oauth2/token", data=form, auth=("app", SECRET), verify=False)
        return str(answer.json().get("error"))

    def redeem(self, code: str) -> dict[str, str] | None:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK, "code_verifier": VERIFIER}
        return self._tokens(form)

    def refresh(self, refresh_token: str) -> dict[str, str] | None:
        return self._tokens({"grant_type": "refresh_token", "refresh_token": refresh_token})

    def _code(self, query: dict[str, str]) -> str | None:
        """None for an error page, or no answer."""
        url = f"{self.url}/oauth2/authorize"
        try:
            response = httpx.get(url, params=query, cookies=self._cookies, timeout=PATIENCE, verify=False)
        except httpx.TransportError:
            return None
        assert response.status_code in {303, 400, 503}, response.text
        return httpx.URL(response.headers["location"]).params["code"] if response.status_code == 303 else None

    def _confirmed(self, path: str, form: dict[str, str]) -> dict[str, str] | None:
        """None for an error, or no answer."""
        try:
            url, auth = f"{self.url}{path}", ("app", SECRET)
            answer = httpx.post(url, data=form, auth=auth, timeout=PATIENCE, verify=False)
        except httpx.TransportError:
            return None
        return dict(answer.json()) if answer.is_success else None

    def _tokens(self, form: dict[str, str]) -> dict[str, str] | None:
        """None for an error, or no answer."""
        try:
            url, auth = f"{self.url}/oauth2/token", ("app", SECRET)
            response = httpx.post(url, data=form, auth=auth, timeout=PATIENCE, verify=False)  # reads no certificates
        except httpx.TransportError:
            return None
        assert response.status_code in {200, 400, 503}, response.text
        return dict(response.json()) if response.status_code == 200 else None


@pytest.mark.parametrize("killed", ["service", "store"] * times(1, 10))
def test_what_is_good_once_is_good_once_and_families_persist(short_folder: Path, store: Valkey, killed: str) -> None:
    service = Service(short_folder / "service", store)
    with service.running() as first:
        first.url()
        service.sign_up()
        used, codes = [service.code() for _ in range(COUNT)], [service.code() for _ in range(COUNT)]
        requests, devices = [service.pushed() for _ in range(COUNT)], [service.device_code() for _ in range(COUNT)]
        once: list[tuple[Callable[[str], object], str]] = [(service.redeem, code) for code in codes]
        once += [(service.authorize, uri) for uri in requests] + [(service.poll, code) for code in devices]
        tokens = [each["refresh_token"] for each in map(service.redeem, used) if each is not None]
        assert len(tokens) == COUNT
        started = time.monotonic()
        with ThreadPoolExecutor(4) as pool:
            taken = [pool.submit(take, code) for take, code in once[::2]]
            refreshed = [pool.submit(service.refresh, token) for token in tokens]
            taken += [pool.submit(take, code) for take, code in once[1::2]]
            until(lambda: sum(each.done() for each in taken) + sum(each.done() for each in refreshed) >= 2 * COUNT)
            if killed == "store":
                store.kill()
            else:
                first.end(signal.SIGKILL)
        if killed == "store":
            store.start()
            first.end()
    with service.running() as second:
        second.url()
        for token, answer in zip(tokens, refreshed, strict=True):
            again, before = service.refresh(token), answer.result()
            if time.monotonic() - started < REFRESH_GRACE - 2:  # a busy machine may be later than the grace
                assert again is not None
            if before is not None and again is not None:
                assert again["refresh_token"] == before["refresh_token"]
        for (take, code), taking in zip([*once[::2], *once[1::2]], taken, strict=True):
            assert taking.result() is None or take(code) is None
            take(code)
            assert take(code) is None


@pytest.mark.parametrize("killed", ["service", "store"] * times(1, 10))
def test_nothing_that_was_confirmed_is_lost(short_folder: Path, store: Valkey, killed: str) -> None:
    """Pushed requests, device codes and the page's "allowed", each answered amid or before the kill."""
    service = Service(short_folder / "service", store)
    pushed: list[dict[str, str]] = []
    begun: list[dict[str, str]] = []
    allowed: list[dict[str, str]] = []

    def repeat(make: Callable[[], dict[str, str] | None], made: list[dict[str, str]]) -> None:
        while len(made) < MANY and (answer := make()) is not None:
            made.append(answer)

    def allow_next() -> dict[str, str] | None:
        device = waiting.pop() if waiting else None
        return device if device is not None and service.allow(device) else None

    with ExitStack() as stack:
        first = stack.enter_context(service.running())
        first.url()
        service.sign_up()
        waiting = [each for each in (service.begin_device() for _ in range(MANY_ALLOWED)) if each is not None]
        with ThreadPoolExecutor(3) as pool:
            pool.submit(repeat, service.push, pushed)
            pool.submit(repeat, service.begin_device, begun)
            pool.submit(repeat, allow_next, allowed)
            until(lambda: len(allowed) >= MANY_ALLOWED / 2 and pushed and begun)
            if killed == "store":
                store.kill()
            else:
                first.end(signal.SIGKILL)
        if killed == "store":  # the same worker goes on
            store.start()
            until(lambda: httpx.get(f"{service.url}/ready?store", verify=False).status_code == 200)
        else:
            stack.enter_context(service.running()).url()
        for request in pushed:
            until(partial(service.authorize, request["request_uri"]))  # one of its connections may still be away
            assert service.authorize(request["request_uri"]) is None
        assert {service.error_of_poll(device["device_code"]) for device in begun} == {"authorization_pending"}
        assert all(service.poll(device["device_code"]) for device in allowed)
