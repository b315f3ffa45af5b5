"""The keys in Redis are those of the page that describes them, and nothing else."""

import re

import pytest
from redis.crc import key_slot

from app.store import keys
from app.store.keys import accounts, gateway, mail, oauth_server, wechat
from app.store.keys.key import Key

PAGES = (keys, accounts, gateway, mail, oauth_server, wechat)
TABLES = "".join(page.__doc__ or "" for page in PAGES)
ROWS = re.findall(r"^\| `([^`]+)` \| ([^|]+) \| [^|]+ \| ([^|]+) \|$", TABLES, re.MULTILINE)
PATTERNS = [pattern for pattern, *_ in ROWS]
NAMES = {f"{page.__name__}.{name}": value for page in PAGES for name, value in vars(page).items()}
CONSTANTS = {
    name: value for name, value in NAMES.items() if name.rpartition(".")[2].isupper() and isinstance(value, str)
}
KINDS = {name: value for name, value in NAMES.items() if isinstance(value, Key)}


def test_key_table_documents_every_key() -> None:
    assert len(ROWS) >= 8
    assert len(set(PATTERNS)) == len(PATTERNS)
    assert TABLES.count("\n| `") == len(ROWS)
    assert {kind for _, kind, _ in ROWS} <= {
        "hash",
        "channel",
        "string",
        "list",
        "set",
        "sorted set",
        "stream",
        "prefix",
        "various",
    }


@pytest.mark.parametrize("name", CONSTANTS)
def test_a_constant_is_in_the_table(name: str) -> None:
    assert CONSTANTS[name] in PATTERNS


@pytest.mark.parametrize("name", KINDS)
def test_keys_are_in_the_table(name: str) -> None:
    assert KINDS[name].pattern in PATTERNS


@pytest.mark.parametrize("pattern", PATTERNS)
def test_row_of_the_table_has_exactly_one_key(pattern: str) -> None:
    assert [*(kind.pattern for kind in KINDS.values()), *CONSTANTS.values()].count(pattern) == 1


def test_key_needs_all_its_parts() -> None:
    with pytest.raises(TypeError):
        keys.site_counts(1, "s")
    with pytest.raises(TypeError):
        keys.session("5e", "6f")


def test_keys_of_the_table_by_example() -> None:
    assert keys.HITS_TOTALS == "{hits}:totals"
    assert keys.hits_worker("a1") == "{hits}:worker:a1"
    assert keys.session("5e") == "session:5e"
    assert keys.sessions_of("7") == "sessions-of:7"


def test_keys_with_the_same_tag_share_a_node_of_a_cluster() -> None:
    assert key_slot(keys.HITS_TOTALS.encode()) == key_slot(keys.hits_worker("any}thing{").encode())
    assert key_slot(keys.session("a").encode()) != key_slot(keys.session("b").encode())


def test_a_worker_is_forgotten_after_a_day() -> None:
    (row,) = [lifetime for pattern, _, lifetime in ROWS if pattern == "{hits}:worker:<id>"]
    assert row == "1 day unused"
    assert keys.HITS_WORKER_LIFETIME == 24 * 60 * 60 * 1000
