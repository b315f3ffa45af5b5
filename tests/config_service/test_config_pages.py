"""Pages of the configuration service."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from app.config_service.schema_form import BadField, changes_of, form_fields_of
from app.settings import Settings
from tests.config_service.conftest import Office
from tests.helpers.cast import make_cast, signed_in
from tests.helpers.service import running

PAGE = {"Accept": "text/html"}
SCHEMA: dict[str, Any] = {
    "properties": {
        "title": {"type": "string", "title": "Shop's title", "description": "Shown <above>."},
        "price": {"type": "number", "minimum": 0},
        "open": {"type": "boolean"},
        "size": {"enum": ["small", "large", 5, None]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "nested": {"type": "object"},
    }
}


async def test_values_are_changed_looked_at_and_brought_back(office: Office) -> None:
    made = await office.alice.post("/config", data={"name": "shop"}, headers=PAGE)
    assert made.headers["location"] == "/config/shop"
    assert (await office.alice.post("/config", data={"name": "shop"}, headers=PAGE)).status_code == 400
    form = {"key": "price", "value": "5", "why": "<b>sale</b>"}
    assert (await office.alice.post("/config/shop", data=form, headers=PAGE)).status_code == 303
    await office.alice.post("/config/shop", data={"key": "k", "value": '"s3cret"', "secret": "1"}, headers=PAGE)
    await office.alice.post("/config/shop", data={"key": "price", "remove": "1"}, headers=PAGE)
    bad = await office.alice.post("/config/shop", data={"key": "price", "value": "{"}, headers=PAGE)
    assert bad.status_code == 400
    shown = (await office.alice.get("/config/shop", headers=PAGE)).text
    assert "&lt;b&gt;sale&lt;/b&gt;" in shown
    back = await office.alice.post("/config/shop/rollback", data={"version": "2", "why": ""}, headers=PAGE)
    assert back.status_code == 303
    assert (await office.alice.get("/api/config/shop")).json() == {"price": 5}
    await office.grant("/api/config/shop", "read")
    assert "s3cret" not in (await office.bob.get("/config/shop", headers=PAGE)).text
    assert "shop" in (await office.bob.get("/config", headers=PAGE)).text
    assert (await office.bob.post("/config/shop", data=form, headers=PAGE)).status_code == 403


async def test_forms_of_a_namespace_that_wants_if_match_say_what_was_seen(office: Office) -> None:
    await office.namespace(require_if_match=True)
    for seen, value, shown in (
        ("1", "1", "has been saved"),
        ("1", "2", "Another change came first"),
        ("2", "3", "saved"),
    ):
        form = {"key": "a", "value": value, "seen": seen}
        answer = await office.alice.post("/config/shop", data=form, headers=PAGE, follow_redirects=True)
        assert shown in answer.text, seen
    for seen, shown in (("2", "Another change came first"), ("3", "restored")):
        form = {"version": "2", "seen": seen}
        answer = await office.alice.post("/config/shop/rollback", data=form, headers=PAGE, follow_redirects=True)
        assert shown in answer.text, seen
    assert (await office.alice.get("/api/config/shop")).json() == {"a": 1}


async def test_form_is_made_from_the_schema(office: Office) -> None:
    path = await office.namespace(schema=SCHEMA)
    await office.patch(path, {"price": 5, "nested": {"a": 1}, "other": 1})
    shown = (await office.alice.get("/config/shop", headers=PAGE)).text
    for part in (
        "Shop&#39;s title", "Shown &lt;above&gt;.", 'name="value.title"', 'type="number" step="any" value="5" min="0"',
        'role="switch" id="value-open"', '<option value="&#34;small&#34;">small</option>',
        '<option value="5">5</option>',
        "One entry a line.",
    ):  # fmt: skip
        assert part in shown, part
    form = {
        "seen": "2", "why": "because", "value.title": "Boutique", "value.price": "5.5", "value.open": "true",
        "value.size": '"large"', "value.tags": "a\r\n\r\nb\r\n", "value.nested": '{"a": 2}',
    }  # fmt: skip
    saved = await office.alice.post("/config/shop/values", data=form, headers=PAGE)
    assert (saved.status_code, saved.headers["location"]) == (303, "/config/shop")
    values = {
        "title": "Boutique", "price": 5.5, "open": True, "size": "large", "tags": ["a", "b"], "nested": {"a": 2},
        "other": 1,
    }  # fmt: skip
    assert (await office.alice.get(path)).json() == values
    # The page was made for version 2: somebody has changed the values meanwhile.
    late = await office.alice.post("/config/shop/values", data=form | {"value.title": "Late"}, headers=PAGE)
    assert (late.status_code, 'value="Late"' in late.text) == (400, True)
    wrong = await office.alice.post("/config/shop/values", data=form | {"seen": "3", "value.price": "-1"}, headers=PAGE)
    assert (wrong.status_code, "price:" in wrong.text, 'value="-1"' in wrong.text) == (400, True, True)
    emptied = {"seen": "3", "value.title": "", "value.tags": "", "value.price": "5.5", "value.size": '"large"'}
    await office.alice.post("/config/shop/values", data=emptied, headers=PAGE)
    left = {"price": 5.5, "open": False, "size": "large", "nested": {"a": 2}, "other": 1}
    assert (await office.alice.get(path)).json() == left
    await office.grant(path, "read")
    assert (await office.bob.post("/config/shop/values", data=form, headers=PAGE)).status_code == 403


async def test_secrets_of_a_form_stay_where_they_are_not_shown(office: Office) -> None:
    path = await office.namespace(schema=SCHEMA)
    await office.alice.put(f"{path}/values/title?secret=true", json="s3cret")
    await office.grant(path, {"role": "write", "secrets": False})
    assert "s3cret" not in (await office.bob.get("/config/shop", headers=PAGE)).text
    form = {"value.title": "", "value.price": "1", "seen": "2"}
    assert (await office.bob.post("/config/shop/values", data=form, headers=PAGE)).status_code == 303
    assert (await office.alice.get(path)).json() == {"title": "s3cret", "price": 1}


async def test_versions_are_compared(office: Office) -> None:
    path = await office.namespace()
    await office.patch(path, {"a": "one", "b": 1})
    await office.patch(path, {"a": "two"})
    await office.alice.put(f"{path}/values/c?secret=true", json="s3cret")
    compared = (await office.alice.get("/config/shop/compare?from=2&to=4", headers=PAGE)).text
    assert all(each in compared for each in ("&#34;one&#34;", "&#34;two&#34;", "s3cret"))
    await office.grant(path, "read")
    assert "s3cret" not in (await office.bob.get("/config/shop/compare?from=2&to=4", headers=PAGE)).text
    same = await office.bob.get("/config/shop/compare?from=2&to=2", headers=PAGE)
    assert "There is no difference." in same.text
    for query in ("from=0&to=1", "from=1&to=9", "from=x&to=1", ""):
        assert (await office.bob.get(f"/config/shop/compare?{query}", headers=PAGE)).status_code == 404


async def test_schema_and_roles_are_edited(office: Office) -> None:
    path = await office.namespace()
    await office.patch(path, {"price": 5})
    for schema, status in (
        ('{"type": "object"}', 303),
        ("{", 400),
        ('{"properties": {"price": {"type": "string"}}}', 400),
    ):
        answer = await office.alice.post("/config/shop/schema", data={"schema": schema}, headers=PAGE)
        assert answer.status_code == status
    assert (await office.alice.get(f"{path}/schema")).json() == {"type": "object"}
    assert (await office.alice.post("/config/shop/schema", data={"schema": " "}, headers=PAGE)).status_code == 303
    assert (await office.alice.get(f"{path}/schema")).json() is None
    role = {"user": "bob", "role": "write", "secrets": "1"}
    assert (await office.alice.post("/config/shop/access", data=role, headers=PAGE)).status_code == 303
    granted = (await office.alice.get(f"{path}/access")).json()["users"]
    assert granted == {"bob": {"role": "write", "secrets": True}}
    shown = (await office.alice.get("/config/shop", headers=PAGE)).text
    seen = {"seen": re.findall(r'name="seen" value="([0-9]+\.[0-9]+)"', shown)[0]}
    assert (
        await office.alice.post("/config/shop/schema", data={"schema": "{}"} | seen, headers=PAGE)
    ).status_code == 303
    for part, fields in (("schema", {"schema": ""}), ("access", role)):  # another came first
        assert (await office.alice.post(f"/config/shop/{part}", data=fields | seen, headers=PAGE)).status_code == 400
    assert (await office.bob.post("/config/shop/access", data=role, headers=PAGE)).status_code == 403
    assert (await office.bob.post("/config/shop/schema", data={"schema": ""}, headers=PAGE)).status_code == 403
    for wrong in ({"user": "nobody", "role": "read"}, {"user": "bob", "role": "own"}):
        assert (await office.alice.post("/config/shop/access", data=wrong, headers=PAGE)).status_code == 400
    assert (
        await office.alice.post("/config/shop/access", data=role | {"role": "none"}, headers=PAGE)
    ).status_code == 303
    assert (await office.alice.get(f"{path}/access")).json()["users"] == {}


async def test_role_is_not_given_to_who_took_the_name_that_the_page_shows(office: Office) -> None:
    path = await office.namespace()
    await office.grant(path, "read")
    shown = (await office.alice.get("/config/shop", headers=PAGE)).text
    seen = re.findall(r'name="seen" value="([0-9]+\.[0-9]+\.[0-9a-f]{8})"', shown)[-1]
    role = {"user": "bob", "role": "manage", "seen": seen}
    assert (await office.alice.post("/config/shop/access", data=role, headers=PAGE)).status_code == 303
    shown = (await office.alice.get("/config/shop", headers=PAGE)).text
    role["seen"] = re.findall(r'name="seen" value="([0-9]+\.[0-9]+\.[0-9a-f]{8})"', shown)[-1]
    accounts = office.service.state["accounts"]
    for name, new in (("bob", "robert"), ("charlie", "bob")):
        await accounts.rename((await accounts.by_name(name)).id, new)
    assert (await office.alice.post("/config/shop/access", data=role, headers=PAGE)).status_code == 400
    assert [*(await office.alice.get(f"{path}/access")).json()["users"]] == ["robert"]


async def test_locked_settings_are_shown_as_locked(make_settings: Callable[..., Settings]) -> None:
    async with running(make_settings(registration="open")) as service:
        await make_cast(service)
        alice = await signed_in(service, "alice")
        shown = (await alice.get("/config/tallygate", headers=PAGE)).text
        assert "locked" in shown
        form = {"seen": "1", "value.registration": '"closed"', "value.announcement": "Hello."}
        assert (await alice.post("/config/tallygate/values", data=form, headers=PAGE)).status_code == 303
        assert (await alice.get("/api/config/tallygate")).json() == {"announcement": "Hello."}


@pytest.mark.parametrize(
    ("rule", "value", "kind"),
    [
        ({"type": "string"}, "a line", "text"), ({"type": "string"}, "two\nlines", "json"),
        ({"type": "string"}, "", "json"), ({"type": "string"}, " a", "json"), ({"type": "string"}, 5, "json"),
        ({"type": "integer"}, 5, "number"), ({"type": "integer"}, True, "json"), ({"type": "boolean"}, True, "switch"),
        ({"type": "boolean"}, 1, "json"), ({"enum": ["a"]}, "a", "choice"), ({"enum": ["a"]}, "b", "json"),
        ({"type": "array", "items": {"type": "number"}}, [1, 2.5], "list"),
        ({"type": "array", "items": {"type": "string"}}, ["a\nb"], "json"),
        ({"type": "array", "items": {"type": "string"}}, [], "json"), ({"type": ["string", "null"]}, None, "json"),
        (True, {"a": 1}, "json"),
    ],
)  # fmt: skip
def test_field_that_is_not_touched_changes_nothing(rule: Any, value: Any, kind: str) -> None:
    (field,) = form_fields_of({"properties": {"key": rule}}, {"key": value})
    assert field.kind == kind
    assert changes_of([field], {field.name: field.text}) == ({}, set())


def test_misfit_of_a_form_field_is_named() -> None:
    fields = form_fields_of(SCHEMA, {})
    for typed in ({"value.price": "many"}, {"value.price": "true"}, {"value.nested": "{"}, {"value.size": "small"}):
        with pytest.raises(BadField, match=next(iter(typed)).removeprefix("value.")):
            changes_of(fields, typed)
    assert form_fields_of(True, {}) == form_fields_of({"properties": 5}, {}) == []
