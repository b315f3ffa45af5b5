"""The commands that start our Redis, run on the server of the tests: with and without a password."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from app.store.embedded import server_binary
from app.store.redis_url import parse, with_password
from tests.deploy.files import text, yaml_of
from tests.helpers.sockets import PATIENCE
from tests.helpers.waiting import until

PASSWORD = "correct horse/@#'"
Start = Callable[[Path, str], tuple[str, dict[str, str]]]


def kubernetes(folder: Path, password: str) -> tuple[str, dict[str, str]]:
    """(the container's script, its variables), with its files in this folder."""
    (container,) = yaml_of("k8s/base/redis/statefulset.yaml")["spec"]["template"]["spec"]["containers"]
    config = folder / "redis.conf"
    config.write_text(_local(text("k8s/base/redis/redis.conf"), folder), "utf-8")
    return container["args"][0].replace("/etc/redis/redis.conf", str(config)), {"REDISCLI_AUTH": password}


def compose(folder: Path, password: str) -> tuple[str, dict[str, str]]:
    secret = folder / "redis_password"
    secret.write_text(f"{password}\n" if password else "", "utf-8")
    script = yaml_of("compose.yaml")["services"]["redis"]["command"][-1].replace("$$", "$")
    return _local(script, folder).replace("/run/secrets/redis_password", str(secret)), {}


def sentinel(folder: Path, password: str) -> tuple[str, dict[str, str]]:
    secret = folder / "redis_password"
    secret.write_text(f"{password}\n" if password else "", "utf-8")
    replica = yaml_of("deploy/compose.sentinel.yaml")["services"]["redis-replica"]
    script = replica["command"][-1].replace("$$", "$").replace("/run/secrets/redis_password", str(secret))
    return _local(script, folder), replica["environment"]


def _local(config: str, folder: Path) -> str:
    return config.replace("dir /data", f"dir {folder}\nport 0\nunixsocket {folder}/r.sock")


@contextmanager
def started(start: Start, folder: Path, password: str) -> Iterator[Path]:
    """The socket of a server that this deployment's command has started."""
    (folder / "redis-server").symlink_to(server_binary())
    script, variables = start(folder, password)
    path = f"{folder}:{os.environ['PATH']}"
    with subprocess.Popen(["sh", "-c", script], env=variables | {"PATH": path}, stdout=subprocess.DEVNULL) as server:
        try:
            until((folder / "r.sock").exists)
            yield folder / "r.sock"
        finally:
            server.terminate()


@pytest.mark.slow
@pytest.mark.parametrize("start", [kubernetes, compose, sentinel])
def test_redis_asks_for_the_password_that_it_is_given(start: Start, short_folder: Path) -> None:
    for password in ("", PASSWORD):
        folder = short_folder / f"{start.__name__}-{len(password)}"
        folder.mkdir()
        with started(start, folder, password) as socket:
            with redis.Redis(unix_socket_path=str(socket), socket_timeout=PATIENCE) as stranger:
                if password:
                    with pytest.raises(redis.AuthenticationError):
                        stranger.ping()
                else:
                    assert stranger.ping()
            url = with_password(f"unix://{socket}", password) if password else f"unix://{socket}"
            with redis.Redis.from_url(url, socket_timeout=PATIENCE) as client:
                assert client.config_get("appendonly") == {"appendonly": "yes"}
                if start is sentinel:
                    assert client.config_get("masterauth") == {"masterauth": password}
                    assert client.config_get("replicaof") == {"replicaof": "redis 6379"}


@pytest.mark.parametrize("url", ["redis://redis:6379/0", "rediss://alice@redis", "redis+sentinel://a:1,b:2/tallygate"])
def test_password_of_its_own_is_used_where_the_url_has_none(url: str) -> None:
    address = parse(with_password(url, PASSWORD))
    assert address.options["password"] == PASSWORD
    assert (address.kind, address.hosts) == (parse(url).kind, parse(url).hosts)


def test_password_in_the_url_wins() -> None:
    assert with_password("redis://:own@redis:6379/0", PASSWORD) == "redis://:own@redis:6379/0"
