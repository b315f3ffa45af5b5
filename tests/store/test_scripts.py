"""Scripts are sent by their hash, and in full only to a server that does not know them."""

import pytest

from app.store.client import ResponseError, Store
from app.store.scripts import Script
from tests.helpers.valkey import Valkey

ADD = Script("return redis.call('INCRBY', KEYS[1], ARGV[1]) + tonumber(redis.call('GET', KEYS[2]) or '0')")


async def test_a_script_is_sent_in_full_only_once(server: Valkey, store: Store) -> None:
    with server.client as client:
        client.script_flush()
        client.set("{t}:b", 100)
        assert [await ADD.run(store, ("{t}:a", "{t}:b"), 5) for _ in range(3)] == [105, 110, 115]
        assert store.commands == 5  # the PING of the start, one EVALSHA that failed, one EVAL, two EVALSHA
        client.script_flush()
        assert await ADD.run(store, ("{t}:a", "{t}:b"), 5) == 120


async def test_an_error_in_a_script_is_raised(store: Store) -> None:
    with pytest.raises(ResponseError, match="not an integer"):
        await ADD.run(store, ("{t}:a", "{t}:b"), "no number")
