"""If-Match and If-None-Match of every change of a namespace."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.config_service.conftest import Office
from tests.helpers.api import problem


async def test_if_match_mismatch_names_the_changed_keys(office: Office) -> None:
    path = await office.namespace(require_if_match=True)
    problem(await office.patch(path, {"a": 1}), 428)
    assert (await office.patch(path, {"a": 1}, **{"If-Match": '"1"'})).status_code == 200
    refused = problem(await office.patch(path, {"b": 1}, **{"If-Match": '"1"'}), 412)
    assert (refused["version"], refused["changed"]) == (2, ["a"])
    problem(await office.patch(path, {"b": 1}, **{"If-Match": 'W/"2"'}), 412)
    new = {"If-None-Match": "*", "Content-Type": "application/json"}
    assert (await office.alice.put("/api/config/shop/values/n", content=b"null", headers=new)).status_code == 200
    problem(await office.alice.put("/api/config/shop/values/n", json=1, headers=new), 412)
    assert (await office.alice.get("/api/config/shop/values/n")).text == "null"
    there = {"If-Match": "*"}
    assert (await office.alice.put("/api/config/shop/values/n", json=2, headers=there)).status_code == 200
    problem(await office.alice.put("/api/config/shop/values/absent", json=2, headers=there), 412)


@pytest.mark.parametrize(
    ("part", "one", "other"),
    [
        ("schema", {"type": "object"}, {"maxProperties": 9}),
        ("access", {"users": {"bob": "read"}}, {"users": {"bob": "write"}}),
    ],
)
async def test_schema_and_access_heed_if_match(office: Office, part: str, one: Any, other: Any) -> None:
    path = await office.namespace(require_if_match=True)
    tag = (await office.alice.get(f"{path}/{part}")).headers["etag"]

    async def put(document: Any, **headers: str) -> httpx.Response:
        return await office.alice.put(f"{path}/{part}", json=document, headers=headers)

    problem(await put(one), 428)
    for stale in ('"9"', 'W/"1"', '"1.9"', "1", ""):
        assert problem(await put(one, **{"If-Match": stale}), 412)["version"] == 1
    problem(await put(one, **{"If-None-Match": "*"}), 412)
    first = await put(one, **{"If-Match": tag})
    assert first.status_code == 204
    problem(await put(other, **{"If-Match": tag}), 412)  # the version is the same, but somebody wrote
    assert first.headers["etag"] == (await office.alice.get(f"{path}/{part}")).headers["etag"] != tag
    assert (await put(other, **{"If-Match": f'"7", {first.headers["etag"]}'})).status_code == 204
    assert (await put(one, **{"If-Match": '"1"'})).status_code == 204  # of the values: none has changed
    await office.patch(path, {"a": 1}, **{"If-Match": "*"})
    refused = problem(await put(other, **{"If-Match": '"1"'}), 412)
    assert (refused["version"], refused["changed"]) == (2, ["a"])


async def test_roles_of_a_renamed_user_have_another_tag(office: Office) -> None:
    path = await office.namespace()
    await office.grant(path, "manage")
    first = await office.alice.get(f"{path}/access")
    accounts = office.service.state["accounts"]
    for name, new in (("bob", "robert"), ("charlie", "bob")):
        await accounts.rename((await accounts.by_name(name)).id, new)
    stale = {"If-Match": first.headers["etag"]}
    problem(await office.alice.put(f"{path}/access", json=first.json(), headers=stale), 412)
    second = await office.alice.get(f"{path}/access")
    assert [*second.json()["users"]] == ["robert"]
    fresh = {"If-Match": second.headers["etag"]}
    assert (await office.alice.put(f"{path}/access", json=second.json(), headers=fresh)).status_code == 204


async def test_concurrent_schemas_with_one_tag_are_taken_once(office: Office) -> None:
    path = await office.namespace()
    tag = {"If-Match": (await office.alice.get(f"{path}/schema")).headers["etag"]}
    schemas = [{"maxProperties": number} for number in range(5)]
    answers = await asyncio.gather(
        *(office.alice.put(f"{path}/schema", json=schema, headers=tag) for schema in schemas)
    )
    assert sorted(answer.status_code for answer in answers) == [204, 412, 412, 412, 412]


async def test_rollback_heeds_if_match(office: Office) -> None:
    path = await office.namespace(require_if_match=True)
    for version, value in (("1", "old"), ("2", "new")):
        await office.patch(path, {"a": value}, **{"If-Match": f'"{version}"'})
    back = {"version": 2}
    problem(await office.alice.post(f"{path}/rollback", json=back), 428)
    refused = problem(await office.alice.post(f"{path}/rollback", json=back, headers={"If-Match": '"2"'}), 412)
    assert (refused["version"], refused["changed"]) == (3, ["a"])
    answer = await office.alice.post(f"{path}/rollback", json=back, headers={"If-Match": '"3"'})
    assert answer.json() == {"version": 4, "changed": ["a"]}
