"""The allow-list of paths of WeChat's API. Pure."""

import re
from collections.abc import Sequence

SAFE = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+){0,7}")
"""No dots, no escapes, no empty segments: every path of the API has this form."""
DEFAULT = (
    "cgi-bin/user/info", "cgi-bin/user/info/batchget", "cgi-bin/user/get", "cgi-bin/tags/get",
    "cgi-bin/message/template/send", "cgi-bin/message/custom/send", "cgi-bin/message/subscribe/send",
    "cgi-bin/qrcode/create", "wxa/getwxacode", "wxa/getwxacodeunlimit", "wxa/generate_urllink", "wxa/generatescheme",
    "cgi-bin/media/upload", "cgi-bin/media/get", "cgi-bin/media/uploadimg", "cgi-bin/material/get_material",
    "wxa/msg_sec_check", "wxa/media_check_async", "wxa/business/getuserphonenumber", "cgi-bin/openapi/quota/get",
    "cgi-bin/openapi/rid/get", "cgi-bin/get_api_domain_ip", "cgi-bin/getcallbackip", "cgi-bin/callback/check",
    "cgi-bin/ticket/getticket",
)  # fmt: skip
TICKET = "cgi-bin/ticket/getticket"
"""Answered from the cache, so no quota is spent. The default list includes it as well."""
ALWAYS_REFUSED = (
    "cgi-bin/token", "cgi-bin/stable_token", "cgi-bin/ticket/*", "cgi-bin/clear_quota*", "cgi-bin/openapi/quota/clear",
    "cgi-bin/component/*", "component/*", "sns/*",
)  # fmt: skip


def is_safe(raw_path: str) -> bool:
    """Whether the path, as it was sent, can be passed on."""
    return len(raw_path) <= 200 and SAFE.fullmatch(raw_path) is not None


def is_allowed(path: str, granted: Sequence[str] | None, method: str = "GET") -> bool:
    """Whether a grant covers the call; without granted paths the default list applies."""
    if path != TICKET and any(_covers(pattern, path.lower()) for pattern in ALWAYS_REFUSED):
        return False
    return any(_covers(pattern, path, method) for pattern in (DEFAULT if granted is None else granted))


def _covers(pattern: str, path: str, method: str = "") -> bool:
    """`*` at the end stands for the rest of a path. `POST:` before it limits the pattern to that method."""
    limited_to, _, form = pattern.rpartition(":")
    if limited_to not in {"", method}:
        return False
    return path.startswith(form[:-1]) if form.endswith("*") else path == form
