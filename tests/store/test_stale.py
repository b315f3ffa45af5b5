"""One Sentinel or cluster node that knows of no failover yet is not believed."""

from collections.abc import Callable
from contextlib import AsyncExitStack

from app.store.topology import topology
from tests.helpers.sockets import PATIENCE
from tests.store.conftest import Opened
from tests.store.fake import Fake, fake


def sentinel(primary: Fake) -> Callable[[list[bytes]], bytes]:
    return lambda _: b"*2\r\n$9\r\n127.0.0.1\r\n$%d\r\n%d\r\n" % (len(str(primary.port)), primary.port)


def server(role: bytes) -> Callable[[list[bytes]], bytes]:
    return lambda command: b"*1\r\n$%d\r\n%b\r\n" % (len(role), role) if command[0] == b"ROLE" else b"+PONG\r\n"


async def test_sentinel_with_a_true_primary_is_believed(opened: Opened) -> None:
    async with AsyncExitStack() as stack:
        old, new = [await stack.enter_async_context(fake(server(role))) for role in (b"slave", b"master")]
        stale, current = [await stack.enter_async_context(fake(sentinel(primary))) for primary in (old, new)]
        for _ in range(5):
            url = f"redis+sentinel://127.0.0.1:{stale.port},127.0.0.1:{current.port}/visits"
            async with opened(url) as store:
                assert await store.idempotent("PING") == b"PONG"
        assert [b"PING"] not in old.asked
        assert new.asked.count([b"PING"]) == 10


def node(epoch: int, holder: int) -> Callable[[list[bytes]], bytes]:
    info = b"cluster_state:ok\r\ncluster_current_epoch:%d\r\n" % epoch
    slots = b"*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:%d\r\n" % holder
    return lambda command: b"$%d\r\n%b\r\n" % (len(info), info) if command[1] == b"INFO" else slots


async def test_node_with_the_later_epoch_is_believed() -> None:
    async with fake(node(3, 1001)) as stale, fake(node(5, 1002)) as current:
        for seeds in ((stale, current), (current, stale)):
            nodes = topology("redis+cluster://" + ",".join(f"127.0.0.1:{seed.port}" for seed in seeds), PATIENCE)
            await nodes.refresh()
            assert nodes.locate("a") == "127.0.0.1:1002"


async def test_node_with_the_later_epoch_is_believed_if_it_answers_later() -> None:
    async with fake(node(3, 1001)) as stale, fake(node(5, 1002)) as current:
        current.delay = 0.01
        nodes = topology(f"redis+cluster://127.0.0.1:{stale.port},127.0.0.1:{current.port}", PATIENCE)
        await nodes.refresh()
        assert nodes.locate("a") == "127.0.0.1:1002"
