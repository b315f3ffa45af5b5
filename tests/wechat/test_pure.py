"""The vectors of WeChat's documents, and what the pure modules refuse."""

import pytest

from app.settings import SettingsError
from app.wechat.api_paths import is_allowed, is_safe
from app.wechat.errcodes import errcode_of, parse_json
from app.wechat.message_crypto import BadMessage, decrypt, encrypt, js_signature
from app.wechat.message_xml import parse_xml
from app.wechat.models import configured_accounts

KEY, APPID = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG", "wxb11529c136998cb6"
SEALED = "jn1L23DB+6ELqJ+6bruv21Y6MD7KeIfP82D6gU39rmkgczbWwt5+3bnyg5K55bgVtVzd832WzZGMhkP72vVOfg=="
HARMLESS = """
    cgi-bin/user/info cgi-bin/user/info/batchget cgi-bin/user/get cgi-bin/tags/get cgi-bin/message/template/send
    cgi-bin/message/custom/send cgi-bin/message/subscribe/send cgi-bin/qrcode/create wxa/getwxacode
    wxa/getwxacodeunlimit wxa/generate_urllink wxa/generatescheme cgi-bin/media/upload cgi-bin/media/get
    cgi-bin/media/uploadimg cgi-bin/material/get_material wxa/msg_sec_check wxa/media_check_async
    wxa/business/getuserphonenumber cgi-bin/openapi/quota/get cgi-bin/openapi/rid/get cgi-bin/get_api_domain_ip
    cgi-bin/getcallbackip cgi-bin/callback/check
"""
NEVER = """
    cgi-bin/token cgi-bin/Token cgi-bin/stable_token cgi-bin/clear_quota cgi-bin/clear_quota/v2
    cgi-bin/openapi/quota/clear cgi-bin/component/api_component_token
    component/api_query_auth sns/userinfo sns/jscode2session
"""


def test_messages_are_encrypted_as_in_the_vector() -> None:
    message = "我是中文abcd123".encode()
    assert encrypt(KEY, APPID, message, b"aaaabbbbccccdddd") == SEALED
    assert decrypt(KEY, APPID, SEALED) == message
    assert decrypt(KEY, APPID, encrypt(KEY, APPID, b"x" * 1000)) == b"x" * 1000


@pytest.mark.parametrize("sealed", ["", "x", "é", "AAAA", SEALED[:-24] + "A" * 24, SEALED[:20]])
def test_broken_message_is_refused(sealed: str) -> None:
    with pytest.raises(BadMessage):
        decrypt(KEY, APPID, sealed)


def test_message_for_another_appid_is_refused() -> None:
    with pytest.raises(BadMessage, match="appid"):
        decrypt(KEY, "wx-other", SEALED)


def test_page_is_signed_as_in_the_vector() -> None:
    ticket = "sM4AOVdWfPE4DxkXGEs8VMCPGGVi4C3VM0P37wVUCFvkVAy_90u5h9nbSlYy3-Sl-HhTdfl2fzFy1AOcHKP7qg"
    url = "http://mp.weixin.qq.com?params=value"
    for given in (url, f"{url}#part"):
        assert js_signature(ticket, "Wm3WZYTPz0wzccnW", 1414587457, given) == "0f9de62fce790f9a083d5c99e95740ceb90c27ed"


def test_xml_becomes_fields() -> None:
    assert parse_xml("<xml><A><![CDATA[你好]]></A><B>1 &amp; 2</B></xml>".encode()) == {"A": "你好", "B": "1 & 2"}


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{}",
        b"<xml><A>",
        b'<?xml version="1.0" encoding="gbk"?><xml><A>\xc4\xe3</A></xml>',
        b"<!DOCTYPE xml><xml><A>1</A></xml>",
        b'<!DOCTYPE x [<!ENTITY e "x">]><xml><A>&e;</A></xml>',
        b'<!DOCTYPE x SYSTEM "http://example.com/x.dtd"><xml/>',
        b"<xml>" + b"<a>" * 20 + b"</a>" * 20 + b"</xml>",
        b"<xml>" + b"".join(b"<a%d/>" % number for number in range(300)) + b"</xml>",
    ],
)
def test_xml_with_more_than_fields_is_refused(document: bytes) -> None:
    with pytest.raises(BadMessage):
        parse_xml(document)


@pytest.mark.parametrize(
    "path", ["", "a/../b", "a//b", "a%2fb", "a/", "/a", "a@b", "http:", "a\\b", "a b", "a\nb", "a/.", "x" * 300]
)
def test_path_in_another_form_is_refused(path: str) -> None:
    assert not is_safe(path)


def test_paths_are_denied_by_default() -> None:
    assert is_safe("cgi-bin/user/info")
    assert is_allowed("cgi-bin/user/info", None)
    assert not is_allowed("cgi-bin/menu/create", None)
    assert is_allowed("cgi-bin/menu/create", ["cgi-bin/menu/*"])
    assert not is_allowed("cgi-bin/user/info", ["cgi-bin/menu/*"])
    assert not is_allowed("cgi-bin/tags/get", ["POST:cgi-bin/tags/*"], "GET")
    assert is_allowed("cgi-bin/tags/create", ["POST:cgi-bin/tags/*"], "POST")
    for never in NEVER.split():
        assert not is_allowed(never, ["cgi-bin/*", "sns/*", "component/*", never, f"GET:{never}"])


@pytest.mark.parametrize("path", HARMLESS.split())
def test_harmless_path_is_allowed_at_first(path: str) -> None:
    assert is_allowed(path, None)
    assert not is_allowed(path, [])


@pytest.mark.parametrize("origin", ["https://shop.example.com/page", "shop.example.com", "https://a@b", "*"])
def test_origin_is_no_page(origin: str) -> None:
    table = {"appid": APPID, "secret": "x", "jssdk_origins": [origin]}
    with pytest.raises(SettingsError, match=r"wechat\.shop\.jssdk_origins"):
        configured_accounts({"shop": table}, private=True)


@pytest.mark.parametrize("field", ["secret", "token"])
def test_empty_secret_is_refused(field: str) -> None:
    with pytest.raises(SettingsError, match=rf"wechat\.shop\.{field}: must not be empty"):
        configured_accounts({"shop": {"appid": APPID, "secret": "x", field: ""}}, private=True)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"errcode": 40001}', 40001),
        (b'{"errcode": "40001"}', 40001),
        (b'\xef\xbb\xbf\n {"errcode": 40001}', 40001),
        (b'{"base_resp": {"ret": -1}}', -1),
        (b'{"a": "\x07"}', 0),
        (b"[]", 0),
        (b"<html>", 0),
        (b'{"errcode": null}', 0),
        (b'{"errcode": []}', 0),
        (b'{"errcode": 1e999}', 0),
        (b'{"errcode": NaN}', 0),
        (b'{"errcode": ' + b"9" * 5000 + b"}", 0),
        (b"[" * 100_000, 0),
        (b'{"a":' * 100_000, 0),
        (b'\xff\xfe{"errcode": 1}', 0),
    ],
)
def test_errcode_is_found(body: bytes, code: int) -> None:
    assert errcode_of(parse_json(body)) == code
