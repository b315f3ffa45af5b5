"""What every test may ask for."""

import gc
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from types import CodeType
from typing import Any

import httpx
import hypothesis
import pytest
from hypothesis import HealthCheck
from jinja2 import BytecodeCache, Environment
from jinja2.bccache import Bucket

from app import main
from app.accounts import lifespan as accounts
from app.accounts.passwords.hashing import PasswordHashing
from app.counter import exactly_once
from app.settings import Settings
from app.web import templating
from tests.helpers.authority import make_authority
from tests.helpers.cast import Cast, make_cast
from tests.helpers.clock import Clock
from tests.helpers.service import Running, process, running
from tests.helpers.sockets import PATIENCE
from tests.helpers.valkey import Valkey, valkey

# A shell starts what it runs in the background with Ctrl-C ignored, and so would be what tests start, and press it in.
signal.signal(signal.SIGINT, signal.default_int_handler)
# How long an example takes says more of the machine than of what is tested, and a fixture may serve many examples.
hypothesis.settings.register_profile(
    "tallygate",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
hypothesis.settings.load_profile("tallygate")


def pytest_collection_finish() -> None:
    """The collector skips what lives as long as the process: the modules and the list of the tests."""
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)


@pytest.fixture(autouse=True)
def thawed_garbage(monkeypatch: pytest.MonkeyPatch) -> None:
    """An application of a test ends with it. That one in service freezes what it has made, each start would collect all
    that lives, and keep what was the last test's.
    """
    monkeypatch.setattr(main, "_freeze_garbage", lambda: None)


@pytest.fixture(autouse=True)
def patient_visitors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Visitors wait for their numbers even where the machine is busy; where Redis goes away tests say for how long."""
    monkeypatch.setattr(exactly_once, "REPLY_TIMEOUT", PATIENCE / 2)


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2's cost and its threads' priority are tested in tests/accounts/passwords/test_password_hashing.py."""
    cheap = partial(PasswordHashing, threads=1, memory=8, rounds=1, niceness=0)
    monkeypatch.setattr(accounts, "PasswordHashing", cheap)


class CompiledTemplates(BytecodeCache):
    """Each application compiles its templates: in tests all share what the first one has compiled."""

    def __init__(self) -> None:
        self._compiled: dict[str, tuple[str, CodeType]] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        checksum, code = self._compiled.get(bucket.key, ("", None))
        bucket.code = code if checksum == bucket.checksum else None

    def dump_bytecode(self, bucket: Bucket) -> None:
        if bucket.code is not None:
            self._compiled[bucket.key] = bucket.checksum, bucket.code


@pytest.fixture(scope="session")
def compiled_templates() -> CompiledTemplates:
    return CompiledTemplates()


@pytest.fixture(autouse=True)
def shared_templates(monkeypatch: pytest.MonkeyPatch, compiled_templates: CompiledTemplates) -> None:
    monkeypatch.setattr(templating, "Environment", partial(Environment, bytecode_cache=compiled_templates))


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Path]:
    """A folder whose path is short enough for a socket in it, which pytest's own often is not."""
    with tempfile.TemporaryDirectory(prefix="tg") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `ca.pem`, and a certificate of that authority's for a server and for a client."""
    if shutil.which("openssl") is None:
        pytest.skip("making certificates needs the openssl command: apt-get install openssl")
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def shared_server(short_folder: Path) -> Iterator[Valkey]:
    with valkey(short_folder / "shared") as server:
        yield server


@pytest.fixture
def server(shared_server: Valkey) -> Valkey:
    """The session's Valkey, emptied."""
    with shared_server.client as client:
        client.flushall()
    return shared_server


@pytest.fixture(scope="module")
def url(short_folder: Path, shared_server: Valkey) -> Iterator[str]:
    """The address of a service that runs as a process, for what only real sockets show; one for a whole file."""
    with process(short_folder / "process", port="0", redis_url=shared_server.url) as service:
        yield service.url()


@pytest.fixture
def clock() -> Clock:
    """The service's clock, which the test moves."""
    return Clock()


@pytest.fixture
def make_settings(server: Valkey) -> Callable[..., Settings]:
    """Settings for tests, on the session's Valkey unless told otherwise; it may be slow, but does not go away."""
    usual: dict[str, Any] = {"redis_url": server.url, "redis_timeout": PATIENCE / 2}

    def make(**changes: Any) -> Settings:
        return Settings(**usual | changes)

    return make


@pytest.fixture
async def service(make_settings: Callable[..., Settings]) -> AsyncIterator[Running]:
    """The application, running in this process."""
    async with running(make_settings()) as service:
        yield service


@pytest.fixture
def client(service: Running) -> httpx.AsyncClient:
    """A visitor of the service."""
    return service.client


@pytest.fixture
async def cast(service: Running) -> Cast:
    return await make_cast(service)
