"""The pure parts: merge patches, strict JSON, schemas, preconditions, differences."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.config_service.json_schema import BadSchema, Schema, SchemaViolation
from app.config_service.merge_patch import merge_patch
from app.config_service.models import KEY, NAMESPACE, Item, difference, undone
from app.config_service.preconditions import if_match, if_none_match
from app.web.strict_json import BadJson, parse


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [  # RFC 7396, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patches_follow_the_rfc(target: Any, patch: Any, result: Any) -> None:
    assert merge_patch(target, patch) == result


@pytest.mark.parametrize(
    "text",
    [
        b"NaN", b"[Infinity]", b"1e999", b'{"a":1,"a":2}', b'{"a":{"b":1,"b":1}}', b'"\\ud800"', b"\xff", b"", b"{",
        b"[" * 65 + b"]" * 65, b"[" * 5000 + b"]" * 5000, b'{"a":' * 65 + b"1" + b"}" * 65, b"18446744073709551616",
        b"-9223372036854775809", b"[1] 2",
    ],
)  # fmt: skip
def test_ambiguous_json_is_refused(text: bytes) -> None:
    with pytest.raises(BadJson):
        parse(text)


def test_json_of_the_largest_depth_and_numbers_is_taken() -> None:
    assert parse(b"[" * 64 + b"]" * 64)
    assert parse(b"[18446744073709551615,-9223372036854775808]") == [2**64 - 1, -(2**63)]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(st.characters(codec="utf-8")),
        lambda it: st.lists(it) | st.dictionaries(st.text(st.characters(codec="utf-8")), it),
        max_leaves=20,
    )
)
def test_strict_json_reads_all_of_json(value: Any) -> None:
    assert parse(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "http://127.0.0.1:1/x"}, {"properties": {"a": {"$ref": "https://example.com/s"}}},
        {"allOf": [{"$dynamicRef": "file:///etc/passwd"}]}, {"$schema": "http://json-schema.org/draft-07/schema#"},
        {"type": "number!"}, {"pattern": "(("}, {"$ref": "#/nowhere"}, [], "x", None, {"$ref": "other.json"},
    ],
)  # fmt: skip
def test_schemas_that_are_invalid_or_lead_outside_are_refused(schema: Any) -> None:
    with pytest.raises(BadSchema):
        Schema(schema)


def test_references_inside_a_schema_are_followed() -> None:
    schema = Schema(
        {"$defs": {"price": {"type": "number", "minimum": 0}}, "properties": {"p": {"$ref": "#/$defs/price"}}}
    )
    schema.check({"p": 1})
    with pytest.raises(SchemaViolation) as refused:
        schema.check({"p": -1})
    assert (refused.value.key, refused.value.rule) == ("p", "minimum")


@pytest.mark.parametrize(
    ("values", "key", "rule"),
    [({"a": "hunter2", "b": 1}, "a", "type"), ({}, "b", "required"), ({"b": 1, "c": 1}, "c", "additionalProperties")],
)
def test_refusal_names_key_and_rule_but_not_the_value(values: dict[str, Any], key: str, rule: str) -> None:
    schema = {"properties": {"a": {"type": "integer"}, "b": {}}, "required": ["b"], "additionalProperties": False}
    with pytest.raises(SchemaViolation) as refused:
        Schema(schema).check(values)
    assert (refused.value.key, refused.value.rule) == (key, rule)
    assert "hunter2" not in str(refused.value)


def test_schema_that_allows_nothing_refuses_by_a_rule() -> None:
    with pytest.raises(SchemaViolation) as refused:
        Schema(False).check({"a": 1})
    assert refused.value.rule == "false"


def test_slow_pattern_and_deep_values_end_at_once() -> None:
    with pytest.raises(SchemaViolation):
        Schema({"properties": {"a": {"pattern": "^(a+)+$"}}}).check({"a": "a" * 40 + "!"})
    Schema({"additionalProperties": {"$ref": "#"}}).check({"a": parse(b'{"a":' * 60 + b"{}" + b"}" * 60)})


@pytest.mark.parametrize(
    ("header", "strong", "weak"),
    [
        ('"12"', True, True), ('W/"12"', False, True), ('"11", "12"', True, True), ("*", True, True),
        ("12", False, False), ('"12.15"', True, True), ('W/"12.15"', False, True), ('"12.1"', False, False),
        ('"1"', False, False), ("", False, False), ('"12', False, False), ('W/"1",W/"12"', False, True),
    ],
)  # fmt: skip
def test_if_match_compares_strongly_and_if_none_match_weakly(header: str, strong: bool, weak: bool) -> None:
    assert if_match(header, "12", "12.15") is strong
    assert if_none_match(header, "12", "12.15") is weak


def test_differences_are_as_json_and_can_be_undone() -> None:
    before = {"a": Item(1), "b": Item([1]), "d": Item(1)}
    after = {"a": Item(True), "b": Item([1]), "c": Item(None), "d": Item(1.0)}
    changes = difference(before, after)
    assert [change.key for change in changes] == ["a", "c", "d"]
    assert undone(after, changes) == before


def test_names_of_namespaces_and_keys_are_checked() -> None:
    assert all(NAMESPACE.fullmatch(name) for name in ("shop", "shop.staging", "a", "a-b_c"))
    assert not any(NAMESPACE.fullmatch(name) for name in ("", ".", "a.", "Shop", "a b", "a/b", "店", "a" * 65, "a\n"))
    assert all(KEY.fullmatch(name) for name in ("price", "a.b-c", "_x", "X"))
    assert not any(KEY.fullmatch(name) for name in ("", ".", "..", "a b", "a/b", "价", "a" * 129, "a\n", "a\x00"))
