"""Where a redirect may lead: never off this site, however the target is written."""

import re
from urllib.parse import quote, unquote, urljoin, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.web.redirects import safe_path

HERE = "http://tallygate.test/sign-in"
PARTS = [
    "/",
    "\\",
    "//",
    ".",
    "..",
    "@",
    ":",
    "?",
    "#",
    "%2f",
    "%2F",
    "%5c",
    "%252f",
    "%255C",
    "%09",
    "%0a",
    "%00",
    "\t",
]
PARTS += [
    "\n",
    "\r",
    " ",
    "http:",
    "https://",
    "javascript:",
    "evil.example",
    "tallygate.test",
    "a",
    "é",
    "\x7f",
    "％",
    "／",
]
targets = st.lists(st.sampled_from(PARTS), max_size=8).map("".join) | st.text(max_size=40)


def where_a_browser_goes(target: str) -> str:
    """The scheme and host that a browser asks when it follows this target from a page of ours (WHATWG URL)."""
    target = target.strip("".join(map(chr, range(33))))
    target = "".join(sign for sign in target if sign not in "\t\n\r")
    head = target.partition("?")[0].partition("#")[0]
    target = head.replace("\\", "/") + target[len(head) :]
    while target.startswith("///"):  # any number of slashes introduces a host
        target = target[1:]
    parts = urlsplit(urljoin(HERE, target))
    return f"{parts.scheme}://{parts.netloc}"


@given(targets)
@example("//evil.example")
@example("/\\evil.example")
@example("/%09/evil.example")
@example("/%2fevil.example")
@example("/%252fevil.example")
@example("/%5cevil.example")
@example("/..//evil.example")
@example("https:evil.example")
@example("javascript:alert(1)")
@example("/@evil.example/")
@example("/\u2028/evil.example")
@example("/" * 3000)
def test_a_redirect_never_leaves_the_site(target: str) -> None:
    safe = safe_path(target)
    assert safe in {target, "/"}
    for form in (safe, unquote(safe), unquote(unquote(safe))):
        assert where_a_browser_goes(form) == "http://tallygate.test"
        assert not re.search(r"[\x00-\x1f\x7f\\]", form)
    assert re.fullmatch(r"/[\x21-\x7e]*", safe)


@given(targets)
def test_encoded_unsafe_path_is_refused(target: str) -> None:
    """Where the encoded form gets through, decoding it again does not lead off the site either."""
    once = safe_path(quote(target))
    assert where_a_browser_goes(unquote(once)) == "http://tallygate.test"


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/account/devices",
        "/search?q=a//b&to=https://elsewhere.example/x@y",
        "/page#part",
        "/a/../b",
        "/~user/file.tar.gz",
        "/100%25",
        "/wiki/Caf%C3%A9?q=%E4%BD%A0%20%2f",
        "/a%20b",
        "/%E4%BD%A0",
        "/%ff",
        "/a@b/@x",
        "/user:name@example.com",
        "/a//b",
        "/a%2fb%3Fc",
        "/" + "a" * 8191,
    ],
)
def test_ordinary_path_is_unchanged(target: str) -> None:
    assert safe_path(target) == target


UNSAFE = [
    "", None, "account", "//evil.example", "http://tallygate.test/", "/a b", "/a\nb", "/a%0d%0aSet-Cookie:%20a=b",
    "/a?b=%250a", "/a\\b", "/a%255cb", "/%2f%2fevil.example", "/..//evil.example", "/%252e%252e%252f/evil.example",
    "/你", "///evil.example", "////evil.example", "https://evil.example", "http:evil.example", "https:/evil.example",
    "/\\evil.example", "\\\\evil.example", "\\/evil.example", "/\t/evil.example", "/\n/evil.example",
    "/\r\nLocation: https://evil.example", "\x00//evil.example", " //evil.example", "javascript:alert(1)",
    "data:text/html,x", "/%5cevil.example", "%2f%2fevil.example", "/%252f/evil.example", "/%2e%2e//evil.example",
    "/.//evil.example", "//evil.example@tallygate.test", "http://tallygate.test@evil.example", "/@evil.example",
    "http://tallygate.test.evil.example", "／／evil.example", "/\u2028/evil.example", "//[::1]", "///\tevil.example",
    "/%09/evil.example", "/%0d%0aSet-Cookie:x=y", "/account\\evil.example", "/account%5C", "evil.example",
    "?next=//evil.example", "/" + "a" * 8192,
]  # fmt: skip


@pytest.mark.parametrize("target", UNSAFE)
def test_unsafe_path_becomes_the_fallback(target: str | None) -> None:
    assert safe_path(target) == "/"
    assert safe_path(target, "/account") == "/account"
