"""Whatever comes as a form, as JSON, in a path, a query or a header: it is answered, and never with a 500."""

from collections.abc import AsyncIterator
from urllib.parse import quote, quote_from_bytes

import httpx
import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.accounts.conftest import Start
from tests.helpers.cast import Cast
from tests.helpers.service import Running

FORMS = [
    "/sign-in", "/sign-up", "/setup", "/account", "/account/password", "/account/devices/end",
    "/account/devices/end-others", "/account/tokens", "/account/tokens/revoke", "/admin/invitations",
    "/admin/users/x", "/language",
]  # fmt: skip
FIELDS = [
    "username", "password", "next", "invitation", "token", "locale", "current", "new", "end_others", "key", "name",
    "days", "id", "action",
]  # fmt: skip
KINDS = [
    "application/x-www-form-urlencoded", "application/x-www-form-urlencoded; charset=utf-16", "multipart/form-data",
    "multipart/form-data; boundary=x", 'multipart/form-data; boundary=""', "multipart/form-data; boundary=" + "x" * 80,
    "multipart/form-data; boundary=é", "multipart/form-data; boundary=x; charset=punycode",
    "application/json", "application/json; charset=latin-1", "text/plain", "", ";",
]  # fmt: skip
READ = [
    "/", "/sign-in", "/sign-up", "/setup", "/account", "/account/devices", "/account/tokens", "/admin/users",
    "/admin/audit", "/api", "/api/session", "/api/account/sessions",
]  # fmt: skip
PARAMETERS = ["next", "invitation", "token", "q", "after", "before"]

ODD = st.one_of(
    st.text(max_size=30), st.sampled_from(["\x00", "\ufeff", "٣", "9" * 400, "-1", "1e9", "//x", "\u202e", "a" * 2100])
)
URLENCODED = st.dictionaries(st.sampled_from(FIELDS), ODD, max_size=6).map(
    lambda form: "&".join(f"{name}={quote(value, errors='replace')}" for name, value in form.items()).encode()
)
PARTS = st.lists(st.tuples(st.sampled_from(FIELDS), st.binary(max_size=40), st.booleans()), max_size=4).map(
    lambda parts: (
        b"".join(
            b'--x\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
            % (name.encode(), b'; filename="f"' * file, value)
            for name, value, file in parts
        )
        + b"--x--\r\n"
    )
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | ODD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4),
    max_leaves=8,
)
BODIES = st.one_of(
    st.binary(max_size=200), URLENCODED, PARTS, JSON.map(orjson.dumps), st.binary(max_size=20).map(b"a=%".__add__)
)
HARD = settings(max_examples=200)


@pytest.fixture
async def service(start: Start) -> AsyncIterator[Running]:
    """One that lets everybody sign up."""
    async with start(registration="open") as service:
        yield service


def answered(answer: httpx.Response) -> None:
    assert answer.status_code < 500, f"{answer.request.method} {answer.request.url}: {answer.text}"


@pytest.mark.slow
@HARD
@given(path=st.sampled_from(FORMS), kind=st.sampled_from(KINDS), body=BODIES)
@example(path="/account/tokens", kind=KINDS[0], body=b"name=x&days=000000" + b"9" * 500)
@example(path="/sign-in", kind=KINDS[0], body=b"&".join([b"username=x"] * 30))
@example(path="/sign-in", kind="multipart/form-data; boundary=x", body=b"--x\r\n" * 30)
async def test_forms(service: Running, alice: httpx.AsyncClient, path: str, kind: str, body: bytes) -> None:
    service.state["rate_limiter"].ahead += 3600
    answered(await alice.post(path, content=body, headers=[(b"Content-Type", kind.encode())]))


@pytest.mark.slow
@HARD
@given(path=st.sampled_from(["/api/session", "/api/account/tokens"]), kind=st.sampled_from(KINDS), body=BODIES)
@example(path="/api/session", kind="application/json", body=b'{"a":' * 5000)
@example(path="/api/account/tokens", kind="application/json", body=b'{"name": "x", "days": 1e400}')
async def test_json(service: Running, alice: httpx.AsyncClient, path: str, kind: str, body: bytes) -> None:
    service.state["rate_limiter"].ahead += 3600
    answered(await alice.post(path, content=body, headers=[(b"Content-Type", kind.encode())]))


@pytest.mark.slow
@HARD
@given(field=st.fixed_dictionaries({}, optional=dict.fromkeys(("username", "password", "name", "days"), JSON)))
async def test_json_of_the_right_kind(service: Running, alice: httpx.AsyncClient, field: dict[str, object]) -> None:
    service.state["rate_limiter"].ahead += 3600
    for path in ("/api/session", "/api/account/tokens"):
        answered(await alice.post(path, content=orjson.dumps(field), headers={"Content-Type": "application/json"}))


@pytest.mark.slow
@HARD
@given(
    path=st.sampled_from(READ),
    query=st.binary(max_size=40).map(quote_from_bytes)
    | st.tuples(st.sampled_from(PARAMETERS), st.binary(max_size=40).map(quote_from_bytes)).map("=".join),
    headers=st.dictionaries(
        st.sampled_from(["Authorization", "Cookie", "Accept-Language", "Accept", "User-Agent", "X-Forwarded-For"]),
        st.binary(max_size=40).map(lambda value: bytes(byte for byte in value if byte >= 32 and byte != 127)),
        max_size=3,
    ),
)
async def test_queries_and_headers(alice: httpx.AsyncClient, path: str, query: str, headers: dict[str, bytes]) -> None:
    raw = [(name.encode(), value) for name, value in headers.items()]
    answered(await alice.get(f"{path}?{query}", headers=raw))


@pytest.mark.slow
@HARD
@given(segment=st.binary(max_size=30).map(quote_from_bytes))
async def test_paths(alice: httpx.AsyncClient, cast: Cast, segment: str) -> None:
    answered(await alice.post(f"/admin/users/{segment}", data={"action": "enable"}))
    answered(await alice.delete(f"/api/account/sessions/{segment}"))
    answered(await alice.delete(f"/api/account/tokens/{segment}"))
