"""The catalogue: names, schemas, examples, and events that audit entries raise."""

import re

import pytest
from jsonschema_rs import validator_for

from app.events.catalogue import EVENTS, ConfigChanged
from app.events.event import Event, Record, new_record

NAMES = [
    *(
        "user.created",
        "user.renamed",
        "user.disabled",
        "user.removed",
        "session.began",
        "session.ended",
        "sign_in.refused",
    ),
    *("limit.reached", "identity.linked", "identity.unlinked", "token.created", "token.revoked", "counter.reached"),
    *("site.reached", "config.changed", "wechat.message", "key.rotated", "store.lost", "store.back", "webhook.test"),
]


def test_the_catalogue_has_every_event() -> None:
    assert list(EVENTS) == NAMES
    assert all(re.fullmatch(r"[a-z_]+\.[a-z_]+", name) for name in NAMES)


@pytest.mark.parametrize("event", EVENTS.values())
def test_an_example_fits_its_schema(event: type[Event]) -> None:
    schema = event.schema_of_data()
    assert schema["description"]
    assert all(field["description"] for field in schema["properties"].values())
    validator_for(schema).validate(event.example().model_dump(mode="json"))


def test_a_record_survives_storing_and_long_texts_are_cut() -> None:
    event = ConfigChanged(namespace="shop", version=1, keys=["a\ud800"] * 200, why="x" * 9000)
    record = new_record(event, lambda: 1795838400.25)
    assert record.timestamp == "2026-11-28T04:00:00.250Z"
    assert Record.load(record.dump()) == record
    assert len(record.data["keys"]) == 100
    assert len(record.data["why"]) == 2000
    assert "." not in record.id
