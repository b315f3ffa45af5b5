"""Streams of raised events, and who consumes them."""

import asyncio

import pytest

from app.hooks import store as hooks_store
from app.store import keys
from tests.helpers.valkey import Valkey
from tests.hooks.conftest import Desk


async def test_consumers_of_workers_that_ended_are_forgotten_and_trimmed_events_counted(
    desk: Desk, server: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks_store, "FORGET_AFTER", 0)
    monkeypatch.setattr(hooks_store, "RECLAIM_AFTER", 0)
    part, store = "elsewhere", desk.service.state["hooks_store"]
    stream = keys.raised(part)
    assert await store.raised(part, "me") == []  # makes the group
    with server.client as client:
        client.xadd(stream, {"event": "x"})
        ((_, ((entry, _),)),) = client.xreadgroup("hooks", "gone", {stream: ">"})
        client.xdel(stream, entry)
        await asyncio.sleep(0.01)
        assert await store.abandoned(part, "me") == ([], 1)
        names = [each["name"] for each in client.xinfo_consumers(stream, "hooks")]
    assert b"gone" not in names
