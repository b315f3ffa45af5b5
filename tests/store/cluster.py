"""A Redis Cluster of three nodes, made by hand: there is no valkey-cli in the package."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from redis.crc import key_slot

from tests.helpers.sockets import free_ports
from tests.helpers.valkey import Valkey
from tests.helpers.waiting import until

SLOTS = ((0, 5460), (5461, 10922), (10923, 16383))


class Node(Valkey):
    """One node, which holds a third of the slots at the start."""

    def __init__(self, folder: Path, port: int, bus_port: int) -> None:
        self.port, self.bus_port = port, bus_port
        super().__init__(
            folder,
            *("--port", str(port), "--cluster-enabled", "yes", "--cluster-port", str(bus_port)),
            *("--cluster-announce-ip", "127.0.0.1", "--cluster-node-timeout", "5000"),
            *("--cluster-require-full-coverage", "no"),
        )

    def ask(self, *command: str | int) -> object:
        """What this node answers to an administrator."""
        with self.client as client:
            return client.execute_command(*command)

    @property
    def id(self) -> str:
        name = self.ask("CLUSTER MYID")
        assert isinstance(name, bytes)
        return name.decode()

    def sees_all(self) -> bool:
        wanted = {"cluster_state": "ok", "cluster_known_nodes": "3", "cluster_slots_ok": "16384"}
        info = self.ask("CLUSTER INFO")
        assert isinstance(info, dict)
        return wanted.items() <= info.items()


class Nodes(list[Node]):
    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self)

    def give(self, key: str, node: Node, source: Node) -> None:
        """Tells every node that the key's slot is now that node's; the source last, which sends who asks elsewhere."""
        others = [other for other in self if other not in {node, source}]
        for one in (node, *others, source):
            one.ask("CLUSTER SETSLOT", key_slot(key.encode()), "NODE", node.id)

    def owner(self, key: str) -> Node:
        """The node that has the key's slot at the start."""
        slot = key_slot(key.encode())
        return next(node for node, (first, last) in zip(self, SLOTS, strict=True) if first <= slot <= last)

    def wait(self) -> None:
        until(lambda: all(node.sees_all() for node in self))


@contextmanager
def cluster(folder: Path) -> Iterator[Nodes]:
    ports = free_ports(6)
    nodes = Nodes(Node(folder / f"node{n}", ports[n], ports[n + 3]) for n in range(3))
    with ExitStack() as stack:
        for number, node in enumerate(nodes):
            stack.callback(node.stop)
            node.start()
            node.ask("CLUSTER ADDSLOTSRANGE", *SLOTS[number])
            node.ask("CLUSTER SET-CONFIG-EPOCH", number + 1)
            if number > 0:
                node.ask("CLUSTER MEET", "127.0.0.1", nodes[0].port, nodes[0].bus_port)
        nodes.wait()
        yield nodes


def keys_on(number: int, count: int, prefix: str = "key") -> list[str]:
    """Keys whose slots that node has at the start, by the node's number."""
    first, last = SLOTS[number]
    keys = (f"{prefix}-{n}" for n in range(10_000))
    found = (key for key in keys if first <= key_slot(key.encode()) <= last)
    return [next(found) for _ in range(count)]
