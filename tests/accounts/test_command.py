"""`python -m app create-admin NAME`: from a pipe and from a terminal, once."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.accounts.second_factors.totp import new_totp_secret
from app.settings import Settings
from tests.accounts.pages.reading import until_thrown_out
from tests.helpers.cast import PASSWORD, make_cast, signed_in
from tests.helpers.service import ROOT, running
from tests.helpers.sockets import PATIENCE
from tests.helpers.valkey import Valkey

NEW = "seven quiet ferries"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="needs a terminal as Unix has it"),
]


@pytest.fixture
def command(server: Valkey) -> dict[str, str]:
    """The environment of a command line whose Redis is the session's Valkey."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TALLYGATE_")}
    return environment | {"PYTHONPATH": str(ROOT), "TALLYGATE_REDIS_URL": server.url}


def piped(command: dict[str, str], folder: Path, given: bytes, *arguments: str) -> tuple[int, str]:
    """(exit code, the one line) of a command whose password comes from a pipe."""
    done = subprocess.run(
        [sys.executable, "-m", "app", *(arguments or ("create-admin", "alice"))],
        cwd=folder, env=command, input=given, capture_output=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    (line,) = (done.stdout + done.stderr).decode().splitlines()
    return done.returncode, line.removeprefix("tallygate: ")


class Terminal:
    """The other side of a terminal in which the command runs."""

    def __init__(self, master: int, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.shown = ""
        self._master = master

    def wait_for(self, prompt: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while prompt not in self.shown:
            ready, _, _ = select.select([self._master], [], [], max(0, deadline - time.monotonic()))
            assert ready and time.monotonic() < deadline, f"no {prompt!r}: {self.shown}"  # noqa: PT018
            self.shown += self._read()

    def answer(self, prompt: str, line: str) -> None:
        self.wait_for(prompt)
        os.write(self._master, line.encode() + b"\n")

    def end(self) -> tuple[int, str]:
        """(exit code, the last line) once it has ended."""
        code = self.process.wait(PATIENCE)
        while select.select([self._master], [], [], 0)[0] and (more := self._read()):
            self.shown += more
        return code, self.shown.split("tallygate: ")[-1].strip()

    def _read(self) -> str:
        try:
            return os.read(self._master, 65536).decode()
        except OSError:  # Linux' way to say that the other side is closed
            return ""


@contextmanager
def terminal(command: dict[str, str], folder: Path, name: str = "alice") -> Iterator[Terminal]:
    master, slave = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "create-admin", "alice"],
        cwd=folder, env=command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    try:
        yield Terminal(master, process)
    finally:
        process.kill()
        process.wait()
        os.close(master)


async def test_a_password_from_a_pipe_makes_the_administrator_and_a_second_one_is_refused(
    command: dict[str, str], tmp_path: Path, make_settings: Callable[..., Settings]
) -> None:
    assert piped(command, tmp_path, PASSWORD.encode() + b"\nand more") == (0, "alice is the administrator now")
    async with running(make_settings()) as service:
        alice = await signed_in(service, "alice")
        page = await alice.get("/admin/audit")
        assert page.status_code == 200
        assert "on the command line" in page.text
        assert PASSWORD not in page.text
    code, line = piped(command, tmp_path, PASSWORD.encode() + b"\n", "create-admin", "bob")
    assert code == 2
    assert "there is an administrator already" in line


def test_terminal_prompt_asks_twice_without_echo(command: dict[str, str], tmp_path: Path) -> None:
    with terminal(command, tmp_path) as seen:
        seen.answer("Password: ", PASSWORD)
        seen.answer("Again: ", PASSWORD)
        assert seen.end() == (0, "alice is the administrator now")
        assert PASSWORD not in seen.shown
    with terminal(command, tmp_path) as seen:
        code, line = seen.end()
        assert code == 2
        assert "there is an administrator already" in line
        assert "Password" not in seen.shown


def test_two_different_passwords_are_refused(command: dict[str, str], tmp_path: Path, server: Valkey) -> None:
    with terminal(command, tmp_path) as seen:
        seen.answer("Password: ", PASSWORD)
        seen.answer("Again: ", PASSWORD + "s")
        assert seen.end() == (2, "the two passwords are not the same")
    with server.client as client:
        assert not list(client.scan_iter("*user*"))


def test_ctrl_c_at_the_prompt_prints_one_line(command: dict[str, str], tmp_path: Path) -> None:
    with terminal(command, tmp_path) as seen:
        seen.wait_for("Password: ")
        seen.process.send_signal(signal.SIGINT)
        assert seen.end() == (2, "no password was given")
        assert "Traceback" not in seen.shown


def test_ctrl_d_at_the_prompt_prints_one_line(command: dict[str, str], tmp_path: Path) -> None:
    with terminal(command, tmp_path) as seen:
        seen.wait_for("Password: ")
        os.write(seen._master, b"\x04")
        assert seen.end() == (2, "no password was given")


def test_slow_typing_is_accepted(command: dict[str, str], tmp_path: Path) -> None:
    """Redis' answers wait, because nothing else runs while somebody types."""
    with terminal(command | {"TALLYGATE_REDIS_TIMEOUT": "1"}, tmp_path) as seen:
        seen.wait_for("Password: ")
        time.sleep(2)
        seen.answer("Password: ", PASSWORD)
        seen.answer("Again: ", PASSWORD)
        assert seen.end() == (0, "alice is the administrator now")


@pytest.mark.parametrize(
    ("name", "given", "reason"),
    [
        ("alice", b"", "A password has at least 8 characters."),
        ("alice", b"password1\n", "Common passwords are not accepted."),
        ("alice", b"alice-alice\n", "Your name is not accepted as a password."),
        ("alice", b"\xff\xfe\xfd long enough\n", "the password is not valid UTF-8"),
        ("a/b", PASSWORD.encode(), 'A name cannot contain / \\ : , ; < > ".'),
    ],
)
def test_bad_input_is_refused_in_one_line(
    command: dict[str, str], tmp_path: Path, server: Valkey, name: str, given: bytes, reason: str
) -> None:
    assert piped(command, tmp_path, given, "create-admin", name) == (2, reason)
    with server.client as client:
        assert not list(client.scan_iter("*user*"))


def test_create_admin_without_redis_says_so(command: dict[str, str], tmp_path: Path) -> None:
    away = command | {"TALLYGATE_REDIS_URL": f"unix://{tmp_path}/nobody.sock", "TALLYGATE_REDIS_TIMEOUT": "0.2"}
    code, line = piped(away, tmp_path, PASSWORD.encode())
    assert code == 2
    assert line.startswith("Redis does not answer (")


async def test_reset_password_sets_it_and_ends_the_sessions(
    command: dict[str, str], tmp_path: Path, make_settings: Callable[..., Settings]
) -> None:
    async with running(make_settings()) as service:
        await make_cast(service)
        bob = await signed_in(service, "bob")
        code, line = piped(command, tmp_path, NEW.encode(), "reset-password", "bob")
        assert (code, line) == (0, "the password of bob is set, and 1 sessions have ended")
        await until_thrown_out(bob)
        await signed_in(service, "bob", NEW)
    assert piped(command, tmp_path, NEW.encode(), "reset-password", "nobody") == (2, "no user has this name")
    assert piped(command, tmp_path, b"short", "reset-password", "bob")[0] == 2


async def test_remove_second_factors_takes_them_and_ends_the_sessions(
    command: dict[str, str], tmp_path: Path, make_settings: Callable[..., Settings]
) -> None:
    async with running(make_settings()) as service:
        user = (await make_cast(service)).bob
        bob = await signed_in(service, "bob")
        await service.state["second_factors"].set_totp(user.id, new_totp_secret(), 1)
        done = piped(command, tmp_path, b"", "remove-second-factors", "bob")
        assert done == (0, "the second factors of bob are removed, and 1 sessions have ended")
        await until_thrown_out(bob)
        await signed_in(service, "bob")
    assert piped(command, tmp_path, b"", "remove-second-factors", "bob") == (2, "bob has no second factor")
    assert piped(command, tmp_path, b"", "remove-second-factors", "nobody") == (2, "no user has this name")


def test_create_admin_force_makes_another_administrator(command: dict[str, str], tmp_path: Path) -> None:
    assert piped(command, tmp_path, NEW.encode())[0] == 0
    done = piped(command, tmp_path, NEW.encode(), "create-admin", "--force", "bob")
    assert done == (0, "bob is an administrator now")
    code, line = piped(command, tmp_path, NEW.encode(), "create-admin", "--force", "bob")
    assert (code, line) == (2, "this name is taken: `reset-password` sets the password of an account")
