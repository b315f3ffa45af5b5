"""Audit entries raise their events."""

import asyncio

from app.events.event import Record
from app.store import keys
from tests.helpers.service import Running
from tests.helpers.valkey import Valkey


async def test_an_audit_entry_raises_its_event(service: Running, server: Valkey) -> None:
    with server.client as client:
        before = client.xlen(keys.HOOKS_LOG)
        await service.client.post("/api/session", json={"username": "nobody", "password": "s3cret s3cret"})
        async with asyncio.timeout(10):
            while client.xlen(keys.HOOKS_LOG) == before:
                await asyncio.sleep(0.02)
        records = [Record.load(fields[b"event"]) for _, fields in client.xrange(keys.HOOKS_LOG)]
    assert records[-1].type == "sign_in.refused"
    assert records[-1].data == {"user": "", "address": "192.0.2.1", "detail": ""}
