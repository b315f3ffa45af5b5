"""kill -9 of the service or of its store amid exchanges of codes and refreshes."""

import json
import signal
import time
from collections.abc import Iterator
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
APP = {"secret": SECRET, "redirect_uris": [BACK], "first_party": True}


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

    def running(self) -> AbstractContextManager[Process]:
        return process(self._folder, port=self._port, **self._settings)

    def codes(self) -> list[str]:
        query = {
            "client_id": "app", "redirect_uri": BACK, "response_type": "code", "scope": "openid",
            "code_challenge": CHALLENGE, "code_challenge_method": "S256",
        }  # fmt: skip
        with httpx.Client(base_url=self.url) as browser:
            form = {"username": f"u{time.monotonic_ns() % 10**12}", "password": PASSWORD}
            assert browser.post("/sign-up", data=form).status_code == 303
            backs = [browser.get("/oauth2/authorize", params=query).headers["location"] for _ in range(COUNT)]
        return [httpx.URL(back).params["code"] for back in backs]

    def redeem(self, code: str) -> dict[str, str] | None:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK, "code_verifier": VERIFIER}
        return self._tokens(form)

    def refresh(self, refresh_token: str) -> dict[str, str] | None:
        return self._tokens({"grant_type": "refresh_token", "refresh_token": refresh_token})

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
def test_codes_are_single_use_and_families_persist(short_folder: Path, store: Valkey, killed: str) -> None:
    service = Service(short_folder / "service", store)
    with service.running() as first:
        first.url()
        used, codes = service.codes(), service.codes()
        tokens = [each["refresh_token"] for each in map(service.redeem, used) if each is not None]
        assert len(tokens) == COUNT
        started = time.monotonic()
        with ThreadPoolExecutor(4) as pool:
            redeemed = [pool.submit(service.redeem, code) for code in codes[::2]]
            refreshed = [pool.submit(service.refresh, token) for token in tokens]
            redeemed += [pool.submit(service.redeem, code) for code in codes[1::2]]
            until(lambda: sum(each.done() for each in (*redeemed, *refreshed)) >= COUNT)
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
        for code, answer in zip([*codes[::2], *codes[1::2]], redeemed, strict=True):
            assert answer.result() is None or service.redeem(code) is None
            service.redeem(code)
            assert service.redeem(code) is None
