"""Every way to reach a Redis: TCP, TLS, unix sockets, with and without a password, and what a server may say first."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.store.client import ResponseError
from app.store.topology import Cluster, Sentinel, Single, topology
from tests.helpers.proxy import Proxy
from tests.helpers.valkey import Valkey, valkey
from tests.helpers.waiting import answers, eventually, refused
from tests.store.conftest import Opened
from tests.store.fake import fake


@asynccontextmanager
async def behind_tls(server: Valkey, authority: Path, *, ask_client: bool = False) -> AsyncIterator[int]:
    """The port at which the server is to be reached by TLS: the packaged Valkey has none of its own."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority / "ca.pem")
    context.load_cert_chain(authority / "cert.pem", authority / "key.pem")
    if ask_client:
        context.verify_mode = ssl.CERT_REQUIRED
    between = Proxy(server.socket)
    listener = await asyncio.start_server(between.serve, "localhost", 0, ssl=context)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        await between.close()


async def test_tls_with_an_authority_of_ones_own(server: Valkey, authority: Path, opened: Opened) -> None:
    async with behind_tls(server, authority) as port:
        async with opened(f"rediss://localhost:{port}/3?ssl_ca_certs={authority}/ca.pem") as store:
            replies = await asyncio.gather(*(store.once("INCR", "n") for _ in range(300)))
            assert replies == list(range(1, 301))
        with server.client as client:
            assert client.info("keyspace")["db3"]["keys"] == 1


async def test_tls_refuses_a_server_that_it_cannot_verify(server: Valkey, authority: Path, opened: Opened) -> None:
    async with behind_tls(server, authority) as port:
        async with opened(f"rediss://localhost:{port}") as store:
            assert "certificate verify failed" in str(await refused(store.idempotent("PING")))
        # The certificate is for localhost, not for this address.
        other_name = f"rediss://127.0.0.1:{port}?ssl_ca_certs={authority}/ca.pem"
        async with opened(other_name) as store:
            assert "certificate" in str(await refused(store.idempotent("PING")))
        async with opened(f"{other_name}&ssl_check_hostname=false") as store:
            assert await store.idempotent("PING") == b"PONG"


async def test_tls_with_a_certificate_of_the_client(server: Valkey, authority: Path, opened: Opened) -> None:
    async with behind_tls(server, authority, ask_client=True) as port:
        url = f"rediss://localhost:{port}?ssl_ca_certs={authority}/ca.pem"
        async with opened(url) as store:
            await refused(store.idempotent("PING"))
        async with opened(f"{url}&ssl_certfile={authority}/cert.pem&ssl_keyfile={authority}/key.pem") as store:
            assert await store.idempotent("PING") == b"PONG"


def test_files_for_tls_that_cannot_be_used_are_found_at_once(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    for name in ("missing.pem", "empty.pem"):
        with pytest.raises(ValueError, match="the files of the ssl_ options cannot be used"):
            topology(f"rediss://redis?ssl_ca_certs={tmp_path}/{name}", 1)


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("redis://a", Single),
        ("unix:///a", Single),
        ("redis+sentinel://a/b", Sentinel),
        ("redis+cluster://a", Cluster),
    ],
)
def test_the_scheme_chooses_the_topology(url: str, kind: type) -> None:
    assert type(topology(url, 1)) is kind


async def test_a_user_a_password_a_database_and_a_name_of_the_client(server: Valkey, opened: Opened) -> None:
    with server.client as client:
        client.acl_setuser("me", enabled=True, passwords=["+p@ss/word"], keys=["*"], commands=["+@all"])
        async with opened(f"unix://me:p%40ss%2Fword@{server.socket}?db=2&client_name=tallygate") as store:
            info = (await store.idempotent("CLIENT", "INFO")).decode()
            assert " name=tallygate " in info
            assert " db=2 " in info
            assert " user=me " in info
        client.acl_deluser("me")


async def test_a_host_of_several_addresses_is_found(server: Valkey, opened: Opened) -> None:
    """`localhost` may be ::1 first, where nobody listens."""
    between = Proxy(server.socket)
    listener = await asyncio.start_server(between.serve, "127.0.0.1", 0)
    async with opened(f"redis://localhost:{listener.sockets[0].getsockname()[1]}") as store:
        assert await store.idempotent("PING") == b"PONG"
    listener.close()
    await between.close()


async def test_a_server_that_accepts_and_never_greets_is_tried_again(opened: Opened) -> None:
    accepted = 0
    async with fake(lambda _: b"+PONG\r\n") as redis:

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal accepted
            accepted += 1
            if accepted > 2:
                await redis.serve(reader, writer)
            else:
                await reader.read(-1)  # until the other side gives up
                writer.close()

        listener = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with opened(f"redis://127.0.0.1:{listener.sockets[0].getsockname()[1]}", timeout=0.5) as store:
            assert await answers(store, "PING") == b"PONG"
            assert accepted > 2
        listener.close()


async def test_a_server_that_loads_its_data_is_waited_for(short_folder: Path, opened: Opened) -> None:
    with valkey(short_folder / "loads") as server:
        with server.client as client, client.pipeline() as pipeline:
            for number in range(3000):
                pipeline.set(f"k{number}", number)
            pipeline.execute()
        server.stop()
        starting = asyncio.create_task(asyncio.to_thread(server.start, "--key-load-delay", "50"))
        await eventually(server.socket.exists)
        async with opened(server.url) as store:
            assert await answers(store, "GET", "k2999") == b"2999"
        await starting


@pytest.mark.slow
async def test_a_server_that_loads_for_too_long_counts_as_away(opened: Opened) -> None:
    async with (
        fake(lambda _: b"-LOADING Valkey is loading the dataset in memory\r\n") as redis,
        opened(redis.url, timeout=2) as store,
    ):
        away = await refused(store.once("INCR", "n"))
        assert not away.sent
        assert "loading the dataset" in str(away)
        assert redis.connections == 1
        assert len(redis.asked) < 100  # it waits PASSING, a twentieth of a second, between two


async def test_a_name_that_does_not_resolve_counts_as_away(opened: Opened) -> None:
    async with opened("redis://no-such-host.invalid:6379", timeout=0.5) as store:
        away = await refused(store.idempotent("PING"))
    assert "no-such-host.invalid" in str(away) or "too long" in str(away)


async def test_a_wrong_password_is_named_and_a_right_one_later_accepted(server: Valkey, opened: Opened) -> None:
    user = {"enabled": True, "keys": ["*"], "commands": ["+@all"]}
    with server.client as client:
        client.acl_setuser("guest", passwords=["+right"], **user)
        async with opened(server.url.replace("unix://", "unix://guest:mistyped@")) as store:
            away = await refused(store.idempotent("PING"))
            assert "password" in str(away)
            assert "mistyped" not in str(away)
            client.acl_setuser("guest", passwords=["+mistyped"], **user)
            assert await answers(store, "PING") == b"PONG"
        client.acl_deluser("guest")


async def test_a_server_that_refuses_even_ping_lets_the_service_start(server: Valkey, opened: Opened) -> None:
    with server.client as client:
        client.acl_setuser("limited", enabled=True, nopass=True, keys=["*"], commands=["+get", "+hello"])
    try:
        async with opened(server.url.replace("unix://", "unix://limited:any@")) as store:
            assert await store.idempotent("GET", "k") is None
            with pytest.raises(ResponseError, match="permissions"):
                await store.idempotent("SET", "k", "v")
    finally:
        with server.client as client:
            client.acl_deluser("limited")


async def test_refused_connections_are_closed(server: Valkey, opened: Opened) -> None:
    """Pytest fails on the ResourceWarning of a connection that was not closed."""
    async with opened(f"{server.url}?db=999") as store:
        away = await refused(store.idempotent("PING"))
    assert "DB index is out of range" in str(away)
