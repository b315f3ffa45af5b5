"""Redirect URIs are compared exactly: every trick by which another address was taken for a registered one elsewhere."""

from typing import Any

import pytest

from app.oauth_server.redirect_uris import BadUri, check, is_registered
from tests.helpers.cast import Cast, signed_in
from tests.helpers.service import Running
from tests.oauth_server.conftest import BACK, RelyingParty

HOST, APP = "https://app.example.com", "com.example.app:/callback"
REGISTERED = (BACK, f"{HOST}/with?a=1", "http://127.0.0.1/cb", "http://[::1]:7/cb", "http://localhost:8250/cb", APP)
TRICKS = {
    "another host": "https://evil.example/callback",
    "the host's end": f"{HOST}.evil.example/callback",
    "the host's beginning": "https://evil-app.example.com/callback",
    "a subdomain": "https://x.app.example.com/callback",
    "the parent domain": "https://example.com/callback",
    "a dot as a pattern": "https://appXexample.com/callback",
    "a dot at the end of the host": f"{HOST}./callback",
    "upper case in the host": "https://APP.example.com/callback",
    "upper case in the scheme": "HTTPS://app.example.com/callback",
    "upper case in the path": f"{HOST}/Callback",
    "plain http": "http://app.example.com/callback",
    "the default port": f"{HOST}:443/callback",
    "another port": f"{HOST}:8443/callback",
    "an empty port": f"{HOST}:/callback",
    "a port that is none": f"{HOST}:443@evil.example/callback",
    "userinfo before": "https://evil.example@app.example.com/callback",
    "userinfo that looks like the host": "https://app.example.com@evil.example/callback",
    "two at signs": "https://a@b@app.example.com/callback",
    "userinfo with a password": "https://app.example.com:x@evil.example/callback",
    "an encoded at sign": "https://app.example.com%40evil.example/callback",
    "a backslash before at": "https://app.example.com\\@evil.example/callback",
    "a backslash as a slash": "https://evil.example\\app.example.com/callback",
    "an encoded backslash": f"{HOST}%5c@evil.example/callback",
    "a backslash in the path": f"{HOST}\\callback",
    "backslashes after the scheme": "https:\\\\app.example.com\\callback",
    "one slash": "https:/app.example.com/callback",
    "three slashes": "https:///app.example.com/callback",
    "no scheme": "//app.example.com/callback",
    "the path alone": "/callback",
    "nothing but the host": HOST,
    "a slash at the end": f"{BACK}/",
    "two slashes in the path": f"{HOST}//callback",
    "a path below": f"{BACK}/more",
    "a longer name": f"{BACK}2",
    "dots up": f"{BACK}/../x",
    "dots up and back": f"{HOST}/x/../callback",
    "a dot": f"{HOST}/./callback",
    "encoded dots": f"{HOST}/x/%2e%2e/callback",
    "dots with a parameter": f"{BACK}/..;/x",
    "a path parameter": f"{BACK};x",
    "an encoded slash": f"{HOST}%2fcallback",
    "an encoded letter": f"{HOST}/call%62ack",
    "encoded twice": f"{HOST}/%2563allback",
    "a query": f"{BACK}?a=b",
    "an empty query": f"{BACK}?",
    "another value of a registered query": f"{HOST}/with?a=2",
    "more of a registered query": f"{HOST}/with?a=1&b=2",
    "a registered query left out": f"{HOST}/with",
    "a fragment": f"{BACK}#x",
    "an empty fragment": f"{BACK}#",
    "an encoded fragment": f"{BACK}%23@evil.example",
    "a fragment before the host": "https://evil.example#app.example.com/callback",
    "a query before the host": "https://evil.example?app.example.com/callback",
    "a space before": f" {BACK}",
    "a space after": f"{BACK} ",
    "a tab inside": "https://app.exa\tmple.com/callback",
    "a line end": f"{BACK}\n",
    "an encoded line end": f"{BACK}%0d%0aX: y",
    "an encoded NUL": f"{BACK}%00",
    "a wide letter": "https://ａpp.example.com/callback",
    "a Cyrillic letter": "https://аpp.example.com/callback",
    "a domain name in punycode": "https://xn--pp-6kc.example.com/callback",
    "an ideographic full stop": "https://app。example。com/callback",
    "a soft hyphen": "https://app\u00ad.example.com/callback",
    "a zero-width space": f"{HOST}/call\u200bback",
    "right to left": f"{HOST}/\u202ecallback",
    "javascript": "javascript:alert(1)",
    "javascript with the host": "javascript://app.example.com/callback%0aalert(1)",
    "data": "data:text/html,x",
    "a view": f"view-source:{BACK}",
    "a blob": f"blob:{BACK}",
    "two addresses": f"{BACK} https://evil.example/",
    "two addresses with a comma": f"{BACK},https://evil.example/",
    "localhost at another port": "http://localhost:9999/cb",
    "localhost for 127.0.0.1": "http://localhost/cb",
    "loopback with another path": "http://127.0.0.1:9/other",
    "loopback with a query": "http://127.0.0.1:9/cb?x",
    "loopback by https": "https://127.0.0.1:9/cb",
    "another loopback address": "http://127.0.0.2:9/cb",
    "a short loopback address": "http://127.1:9/cb",
    "a loopback address as a number": "http://2130706433:9/cb",
    "an IPv4 address in IPv6": "http://[::ffff:127.0.0.1]:9/cb",
    "every address": "http://0.0.0.0:9/cb",
    "loopback as a name": "http://127.0.0.1.evil.example/cb",
    "loopback as userinfo": "http://127.0.0.1:9@evil.example/cb",
    "a loopback port with letters": "http://127.0.0.1:9x/cb",
    "a loopback port in other digits": "http://127.0.0.1:\u0661\u0662/cb",
    "a loopback port too long": "http://127.0.0.1:123456/cb",
    "loopback in upper case": "HTTP://127.0.0.1:9/cb",
    "an app's scheme in upper case": "COM.example.app:/callback",
    "an app's scheme with a host": "com.example.app://evil/callback",
    "an app's scheme that is longer": "com.example.app.evil:/callback",
}


def test_forged_redirect_uris_are_not_registered() -> None:
    assert [name for name, uri in TRICKS.items() if is_registered(uri, REGISTERED)] == []


@pytest.mark.parametrize("uri", [*REGISTERED, "http://127.0.0.1:9/cb", "http://[::1]:9/cb", "http://[::1]/cb"])
def test_registered_uris_and_any_loopback_port_are_accepted(uri: str) -> None:
    assert is_registered(uri, REGISTERED)


async def test_forged_redirect_gets_a_page_whatever_else_is_wrong(service: Running, cast: Cast) -> None:
    app = RelyingParty(await signed_in(service, "bob"))
    for name, uri in TRICKS.items():
        response = await app.authorize(redirect_uri=uri)
        assert (response.status_code, response.headers.get("location")) == (400, None), name
    doubled: list[dict[str, Any]] = [
        {"redirect_uri": [BACK, "https://evil.example/"]},
        {"redirect_uri": [BACK, BACK]},
        {"redirect_uri": ""},
    ]
    for changes in doubled:
        assert (await app.authorize(**changes)).status_code == 400
    for changes in ({"prompt": "none"}, {"response_type": "x"}, {"scope": "x"}, {"response_mode": "form_post"}):
        response = await app.authorize(redirect_uri="https://evil.example/", **changes)
        assert response.status_code == 400
        assert 'action="https://evil.example' not in response.text


@pytest.mark.parametrize(
    "uri",
    [
        "JaVaScript:alert(1)", "http://a.test/", "https://*/", "https://*.a.test/", "https://u@a.test/", "https://a/#f",
        "https://a/#", "app:/cb", "x" * 9, "", "https://", "https://a.test:99999/", "https://a.test\\b", "https://a b/",
        "https://\u0430.test/", "data:text/html,x", "file:///etc/passwd", "vbscript:x", "https://[::1", "//a.test/",
    ],
)  # fmt: skip
def test_unsafe_redirect_uris_cannot_be_registered(uri: str) -> None:
    with pytest.raises(BadUri):
        check(uri, private=True)
