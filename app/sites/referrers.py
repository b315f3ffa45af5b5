"""The short name of a referrer. Pure."""

from collections.abc import Iterable

from app.sites.page_address import CONTROL, URL, host_of

MAX_NAME_BYTES = 60
"""Bytes of any name in a list: Redis keeps hashes with short names compactly."""
SAME_AS = {
    "t.co": "twitter.com",
    "x.com": "twitter.com",
    "mobile.twitter.com": "twitter.com",
    "l.facebook.com": "facebook.com",
    "lm.facebook.com": "facebook.com",
    "m.facebook.com": "facebook.com",
    "old.reddit.com": "reddit.com",
    "out.reddit.com": "reddit.com",
    "m.weibo.cn": "weibo.com",
    "m.baidu.com": "baidu.com",
    "link.zhihu.com": "zhihu.com",
}
ENGINES = {"google": "google.com", "bing": "bing.com", "yandex": "yandex.com", "duckduckgo": "duckduckgo.com"}
"""Search engines with a host name for each country."""
SPAM = frozenset(
    {
        "semalt.com",
        "buttons-for-website.com",
        "darodar.com",
        "best-seo-offer.com",
        "free-share-buttons.com",
        "event-tracking.com",
        "get-free-traffic-now.com",
        "buy-cheap-online.info",
        "hulfingtonpost.com",
        "ilovevitaly.com",
        "priceg.com",
        "savetubevideo.com",
        "simple-share-buttons.com",
        "success-seo.com",
        "trafficmonetize.org",
        "webmonetizer.net",
        "100dollars-seo.com",
        "o-o-6-o-o.com",
        "social-buttons.com",
        "site-auditor.online",
        "traffic2money.com",
        "floating-share-buttons.com",
        "rank-checker.online",
    }
)
"""Sites that send empty visits so that owners follow them."""


def referrer_name(referrer: str, own_hosts: Iterable[str] = ()) -> str:
    """The host of the page that linked here, or the name that a campaign gives itself; empty for none and for the site.

    Several host names of one service are one.
    """
    if not referrer:
        return ""
    host = host_of(referrer)
    if not host:
        return _application(referrer) if URL.match(referrer) else cut(CONTROL.sub("", referrer))
    if host in own_hosts:
        return ""
    return SAME_AS.get(host) or _engine(host) or host[-MAX_NAME_BYTES:]


def spam_hosts(names: Iterable[str]) -> frozenset[str]:
    """The hosts of `is_spam`, however they are written: with `www.`, in capitals, as URLs."""
    return frozenset(host_of(name if "//" in name else f"https://{name}") for name in names) - {""}


def is_spam(name: str, more: frozenset[str] = frozenset()) -> bool:
    """Whether the host or a domain above it is on the list of spammers."""
    while name:
        if name in SPAM or name in more:
            return True
        name = name.partition(".")[2]
    return False


def cut(name: str) -> str:
    """At most MAX_NAME_BYTES in UTF-8, never half a character."""
    encoded = name.strip().encode()
    return encoded[:MAX_NAME_BYTES].decode(errors="ignore") if len(encoded) > MAX_NAME_BYTES else name.strip()


def _application(referrer: str) -> str:
    """`android-app://com.example.reader/` names an application."""
    scheme, _, rest = referrer.partition("://")
    return cut(CONTROL.sub("", rest.partition("/")[0])) if scheme in {"android-app", "ios-app"} else ""


def _engine(host: str) -> str:
    labels = host.split(".")
    return next((ENGINES[label] for label in labels[-3:-1] if label in ENGINES), "") if len(labels) <= 4 else ""
