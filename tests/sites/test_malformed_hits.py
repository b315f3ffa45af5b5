"""Malformed hits: 400, the reason in a header, and nothing counted."""

import pytest

from tests.sites.conftest import Desk


@pytest.mark.parametrize(
    "query",
    [
        "p=" + "a" * 2049,
        "u=https://blog.example/" + "a" * 2049,
        "p=%00",
        "p=/a%0Ab",
        "p=%FF",
        "u=https://[",
        "u=javascript:alert(1)",
        "p=/a&r=" + "a" * 2049,
        "p=/a&e=" + "a" * 300,
        "p=/a&e=%20",
    ],
)
async def test_malformed_hit_is_refused_with_the_reason_and_stores_nothing(desk: Desk, query: str) -> None:
    site = await desk.site()
    answer = await desk.visitor().get(f"/c/{site}?{query}")
    assert answer.status_code == 400
    assert answer.headers["x-tally-error"].partition(":")[0] in {"u", "p", "r", "e"}
    assert len(answer.content) == 43
    posted = await desk.visitor().post(f"/c/{site}", content=query, headers={"Content-Type": "text/plain"})
    assert posted.status_code == 400
    stats = await desk.stats(site)
    assert (stats["visits"], set(stats["left_out"].values())) == (0, {0})


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"u": ', "application/json"),
        (b"[1]", "application/json"),
        (b'{"u": ["a"]}', "application/json"),
        (b'{"u": true}', "application/json"),
        (b'{"u": "/\\u0000"}', "application/json"),
        (b'{"u": "/\xff"}', "application/json"),
        (b"a" * 20_000, "application/json"),
        ("p=/a".encode("utf-16"), "text/plain"),
        (b"--x", "multipart/form-data"),
        (b"nothing", "multipart/form-data; boundary=x"),
        (
            b'--x\r\nContent-Disposition: form-data; name="p"\r\n\r\n/\xff\r\n--x--\r\n',
            "multipart/form-data; boundary=x",
        ),
    ],
)
async def test_malformed_body_is_refused(
    desk: Desk, capsys: pytest.CaptureFixture[str], body: bytes, kind: str
) -> None:
    site = await desk.site()
    answer = await desk.visitor().post(f"/c/{site}", content=body, headers={"Content-Type": kind})
    assert answer.status_code == 400
    assert answer.headers["x-tally-error"]
    await desk.service.client.get("/live")
    assert '"level":"error"' not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "shown"),
    [("rest", "rest"), ("a%0D%0AX-Evil:%201", "a field"), ("%C3%A9", "a field"), ("a" * 50, "a" * 20)],
)
async def test_name_of_a_field_is_no_part_of_a_header(desk: Desk, name: str, shown: str) -> None:
    site = await desk.site()
    multipart = f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + b"\xff\r\n--x--\r\n"
    query, visitor = f"{name}=%FF", desk.visitor()
    for answer in (
        await visitor.get(f"/c/{site}?{query}"),
        await visitor.get(f"/g/{site}/count?{query}"),
        await visitor.post(f"/c/{site}", content=query, headers={"Content-Type": "text/plain"}),
        await visitor.post(
            f"/c/{site}", content=multipart, headers={"Content-Type": "multipart/form-data; boundary=x"}
        ),
    ):
        assert answer.status_code == 400
        reason = answer.headers.get("x-tally-error") or answer.headers["x-goatcounter"]
        assert reason in {f"{shown}: must be in UTF-8", f"{name[:20]}: must be in UTF-8"}
