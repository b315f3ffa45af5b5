"""One page has one path, however it was linked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sites.page_address import BadAddress, PageAddress, PathRules, host_of, page_address
from app.sites.referrers import referrer_name

PLAIN = PathRules()


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("https://blog.example/", "/"),
        ("https://blog.example", "/"),
        ("https://blog.example/a/", "/a"),
        ("/a", "/a"),
        ("a.html", "/a.html"),
        ("/a#part", "/a"),
        ("/a?utm_source=x&fbclid=1", "/a"),
        ("/a?id=7", "/a"),
        ("/%E7%8C%AB", "/猫"),
        ("/猫", "/猫"),
        ("/a%2fb", "/a%2Fb"),
        ("/a%3Fb", "/a%3Fb"),
        ("/a%20b", "/a%20b"),
        ("/a b", "/a%20b"),
        ("/a\xa0b", "/a%C2%A0b"),
        ("/\u202egnp.a", "/%E2%80%AEgnp.a"),
        ("/%0A", "/%0A"),
        ("/%25", "/%25"),
        ("//other.example/a", "/other.example/a"),
        ("https://blog.example//a", "/a"),
        (" /a", "/a"),
        ("Category:Foo", "/Category:Foo"),
        ("File:a b.jpg#x", "/File:a%20b.jpg"),
        ("a:b/c://d", "/a:b/c://d"),
        ("blog.example:8080/a", "/blog.example:8080/a"),
        ("/A", "/A"),
    ],
)
def test_address_is_one_path(address: str, path: str) -> None:
    assert page_address(address, PLAIN).path == path


def test_queries_are_kept_by_name_and_tracking_parameters_never() -> None:
    rules = PathRules(keep_query=frozenset({"id", "utm_source"}))
    assert page_address("/a?x=1&id=7&utm_source=b", rules).path == "/a?id=7"
    assert page_address("/a?x=1&id=7&gclid=b&from=singlemessage&from=here", PathRules(frozenset("*"))).path == (
        "/a?x=1&id=7&from=here"
    )


def test_slash_and_case_are_as_the_site_says() -> None:
    assert page_address("/A/b/", PathRules(trailing_slash=True)).path == "/A/b/"
    assert page_address("/A/b/", PathRules(lower_case=True)).path == "/a/b"


@pytest.mark.parametrize(
    "address",
    [
        "/" + "a" * 2048,
        "/a\nb",
        "/a\x00",
        "https://[/",
        "/%FF",
        "/\ud800",
        "JavaScript:alert(1)",
        "blob:https://blog.example/1",
        "android-app://com.example/a",
        "https:a",
        "https://a:99999/",
        "https:///a",
    ],
)
def test_malformed_addresses_are_refused(address: str) -> None:
    with pytest.raises(BadAddress):
        page_address(address, PLAIN)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://www.Blog.example:8080/a", "blog.example"),
        ("https://bücher.example/", "xn--bcher-kva.example"),
        ("https://Straße.example/", "xn--strae-oqa.example"),
        ("https://☃.example/", "xn--n3h.example"),
        ("https://blog.example./", "blog.example"),
        ("about:blank", ""),
        ("null", ""),
        ("https://[::1]:8000/", "::1"),
    ],
)
def test_hosts_are_compared_in_one_form(url: str, host: str) -> None:
    assert host_of(url) == host


def test_campaign_names_the_source() -> None:
    assert page_address("/a?utm_source=news&utm_medium=mail", PLAIN) == PageAddress("", "/a", "news")


@pytest.mark.parametrize(
    ("referrer", "name"),
    [
        ("https://www.google.co.jp/", "google.com"),
        ("HTTPS://News.Example/x", "news.example"),
        ("android-app://com.example.mail/", "com.example.mail"),
        ("newsletter: May", "newsletter: May"),
        ("about:blank", ""),
        ("javascript:alert(1)", ""),
        ("https://[", ""),
    ],
)
def test_referrer_is_a_host_an_application_or_a_campaign(referrer: str, name: str) -> None:
    assert referrer_name(referrer) == name


@given(st.text(max_size=200))
def test_path_is_its_own_path(text: str) -> None:
    try:
        path = page_address("/" + text, PathRules(frozenset("*"))).path
    except BadAddress:
        return
    assert page_address(path, PathRules(frozenset("*"))).path == path
