"""Audit entries raise their events in the same step."""

import orjson

from app.store import keys
from tests.helpers.cast import Cast, signed_in
from tests.helpers.service import Running
from tests.helpers.valkey import Valkey


async def test_signing_in_raises_an_event_without_a_secret(service: Running, cast: Cast, server: Valkey) -> None:
    await signed_in(service, "bob")
    with server.client as client:
        entries = client.xrange(keys.raised("accounts"))
    records = [orjson.loads(fields[b"event"]) for _, fields in entries]
    (began,) = [record for record in records if record["type"] == "session.began"]
    assert began["data"] == {"user": cast.bob.id, "auth_method": "password", "address": "192.0.2.1"}
