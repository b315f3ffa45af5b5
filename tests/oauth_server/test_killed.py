"""kill -9 of the service or of its store amid exchanges of codes, refreshes, pushed requests and device codes."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest

from app.oauth_server.store import REFRESH_GRACE
from tests.helpers.cast import PASSWORD
from tests.helpers.service import Process, process
from tests.helpers.sockets import PATIENCE, free_port
from tests.helpers.valkey import Valkey, valkey
from tests.helpers.waiting import until
from tests.oauth_server.conftest import BACK, CHALLENGE, SECRET, VERIFIER

pytestmark = pytest.mark.slow
COUNT = 6
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
        answer = httpx.post(f"{self.url}/oauth2/par", data=QUERY, auth=("app", SECRET))
        return str(answer.json()["request_uri"])

    def authorize(self, request_uri: str) -> str | None:
        return self._code({"client_id": "app", "request_uri": request_uri})

    def device_code(self) -> str:
        """One that the user has allowed."""
        form, auth = {"scope": "openid"}, ("app", SECRET)
        begun = httpx.post(f"{self.url}/oauth2/device_authorization", data=form, auth=auth).json()
        allowed = {"user_code": begun["user_code"], "answer": "allow"}
        assert httpx.post(f"{self.url}/device", data=allowed, cookies=self._cookies).status_code == 200
        return str(begun["device_code"])

    def poll(self, device_code: str) -> dict[str, str] | None:
        return self._tokens({"grant_type": DEVICE, "device_code": device_code})

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

    def _tokens(self, form: dict[str, str]) -> dict[str, str] | None:
        """None for an error, or no answer."""
        try:
            url, auth = f"{self.url}/oauth2/token", ("app", SECRET)
            response = httpx.post(url, data=form, auth=auth, timeout=PATIENCE, verify=False)  # reads no certificates
        except httpx.TransportError:
            return None
        assert response.status_code in {200, 400, 503}, response.text
        return dict(response.json()) if response.status_code == 200 else None


@pytest.mark.parametrize("killed", ["service", "store"])
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
