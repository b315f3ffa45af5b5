import pytest

from app.gateway.original_request import (
    BadOriginalRequest,
    OriginalRequest,
    from_auth_request,
    from_ext_authz,
    from_forward_auth,
)

Headers = list[tuple[bytes, bytes]]


def nginx(url: bytes, method: bytes = b"GET") -> Headers:
    return [(b"host", b"tallygate"), (b"x-original-url", url), (b"x-original-method", method)]


def traefik(**changes: bytes) -> Headers:
    headers = {"method": b"GET", "proto": b"https", "host": b"wiki.example.com", "uri": b"/a?b=c"} | changes
    return [(f"x-forwarded-{name}".encode(), value) for name, value in headers.items()]


def test_nginx_asks_with_an_absolute_url() -> None:
    asked = from_auth_request(nginx(b"https://wiki.example.com/a%20b?c=/d", b"POST"))
    assert asked == OriginalRequest("POST", "https", "wiki.example.com", None, b"/a%20b", b"?c=/d")


def test_traefik_and_caddy_ask_with_forwarded_headers() -> None:
    assert from_forward_auth(traefik()) == OriginalRequest("GET", "https", "wiki.example.com", None, b"/a", b"?b=c")


def test_envoy_asks_with_the_request_itself() -> None:
    headers = [(b"host", b"wiki.example.com"), (b"x-forwarded-proto", b"https")]
    asked = from_ext_authz(headers, "PUT", b"/a?b=c")
    assert asked == OriginalRequest("PUT", "https", "wiki.example.com", None, b"/a", b"?b=c")


@pytest.mark.parametrize("reader", [from_auth_request, from_forward_auth])
def test_proxy_dialect_reads_only_its_own_headers(reader: object) -> None:
    others = traefik(host=b"evil.test") if reader is from_auth_request else nginx(b"https://evil.test/")
    own = nginx(b"https://wiki.example.com/") if reader is from_auth_request else traefik()
    assert callable(reader)
    assert reader([*others, *own]).host == "wiki.example.com"
    with pytest.raises(BadOriginalRequest):
        reader(others)


@pytest.mark.parametrize(
    ("authority", "host", "port"),
    [
        (b"WIKI.Example.com.", "wiki.example.com", None),
        (b"wiki.example.com:443", "wiki.example.com", None),
        (b"wiki.example.com:8443", "wiki.example.com", 8443),
        (b"wiki.example.com.:80", "wiki.example.com", 80),
        (b"[2001:DB8::1]:443", "[2001:db8::1]", None),
        (b"my_app", "my_app", None),
    ],
)
def test_hosts_are_compared_without_case_trailing_dot_and_default_port(
    authority: bytes, host: str, port: int | None
) -> None:
    asked = from_forward_auth(traefik(host=authority))
    assert (asked.host, asked.port) == (host, port)


@pytest.mark.parametrize(
    "authority",
    [b"", b"a,b", b"a b", b"user@wiki.example.com", b"a:80@b", b"wiki.example.com:0", b"wiki.example.com:99999",
     b"wiki..example.com", b".", b"[::1", b"a/b", "wíki.test".encode(), b"a\x00b", b"wiki.example.com:"],
)  # fmt: skip
def test_malformed_hosts_are_refused(authority: bytes) -> None:
    with pytest.raises(BadOriginalRequest):
        from_forward_auth(traefik(host=authority))


@pytest.mark.parametrize(
    "url",
    [b"/a", b"//wiki.example.com/", b"ftp://wiki.example.com/", b"https://u:p@wiki.example.com/", b"https:///a",
     b"https://wiki.example.com/a b", b"https://wiki.example.com\\@evil/", b"https://wiki.example.com?x",
     b"https://wiki.example.com/" + 65_536 * b"a"],
)  # fmt: skip
def test_malformed_urls_are_refused(url: bytes) -> None:
    with pytest.raises(BadOriginalRequest):
        from_auth_request(nginx(url))


@pytest.mark.parametrize("name", ["method", "proto", "host", "uri"])
def test_missing_or_doubled_header_is_refused_by_its_name(name: str) -> None:
    title = f"X-Forwarded-{name.title()}"
    with pytest.raises(BadOriginalRequest, match=f"{title}: is missing"):
        from_forward_auth([pair for pair in traefik() if not pair[0].endswith(name.encode())])
    with pytest.raises(BadOriginalRequest, match=f"{title}: is there more than once"):
        from_forward_auth([*traefik(), *traefik()[["method", "proto", "host", "uri"].index(name) :]])


@pytest.mark.parametrize("proto", [b"https,http", b"ws", b"HTTPS ", b""])
def test_other_schemes_are_refused(proto: bytes) -> None:
    with pytest.raises(BadOriginalRequest):
        from_forward_auth(traefik(proto=proto))


@pytest.mark.parametrize("method", [b"", b"GET /", b"G" * 40, "É".encode()])
def test_malformed_methods_are_refused(method: bytes) -> None:
    with pytest.raises(BadOriginalRequest):
        from_forward_auth(traefik(method=method))


def test_target_of_a_redirect_is_the_path_and_query_byte_for_byte() -> None:
    sent = b"/wiki/Caf%C3%A9/a%20b/@x//y;z?q=%2F&r={1}|2"
    assert from_forward_auth(traefik(uri=sent)).target == sent.decode()


def test_bytes_that_no_url_holds_are_encoded_in_the_target() -> None:
    assert from_forward_auth(traefik(uri="/é#x\\y".encode())).target == "/%C3%A9%23x%5Cy"


def test_origin_has_the_port_where_it_is_not_the_default_one() -> None:
    assert from_forward_auth(traefik(host=b"a.test:443")).origin == "https://a.test"
    assert from_forward_auth(traefik(host=b"a.test:8443")).origin == "https://a.test:8443"
