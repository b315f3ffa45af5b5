"""Parses `redis_url` without connecting, so that every mistake in it is reported at the start."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

Kind = Literal["single", "unix", "sentinel", "cluster"]
Host = tuple[str, int]

SCHEMES: dict[str, tuple[Kind, bool]] = {
    "redis": ("single", False),
    "rediss": ("single", True),
    "unix": ("unix", False),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}
SENTINEL_PORT, REDIS_PORT = 26379, 6379
UNREADABLE = "it cannot be read as a URL: special characters in a password are written as %XX"


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed redis_url; `options` are keyword arguments of redis-py's connections."""

    kind: Kind
    tls: bool = False
    hosts: tuple[Host, ...] = ()
    path: str = ""
    service: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    sentinel_login: dict[str, str] = field(default_factory=dict)


def parse(url: str) -> Address:
    """Raises ValueError. Its text quotes only names of options: the rest of the URL may hold a password."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError(UNREADABLE) from None
    if parts.scheme not in SCHEMES:
        raise ValueError(f"it has to begin with one of {', '.join(scheme + '://' for scheme in SCHEMES)}")
    if parts.fragment:
        raise ValueError("a # in it has to be written as %23")
    kind, tls = SCHEMES[parts.scheme]
    login, _, places = parts.netloc.rpartition("@")
    if "@" in login or ("@" in parts.path + parts.query and kind != "unix"):
        raise ValueError(UNREADABLE)  # an unencoded password would be taken for a host, a service or a database
    hosts = () if kind == "unix" else _hosts(places, kind)
    options = _query(parts.query, kind, tls=tls) | _login(login)
    sentinel_login = {
        name: options.pop(f"sentinel_{name}") for name in ("username", "password") if f"sentinel_{name}" in options
    }
    if kind == "unix":
        return Address(kind, path=_socket(parts), options=options)
    service, db = _service_and_db(parts.path, kind)
    return Address(kind, tls, hosts, "", service, options | db, sentinel_login)


def with_password(url: str, password: str) -> str:
    """The URL with this password where it has none. Raises ValueError."""
    if "password" in parse(url).options:
        return url
    parts = urlsplit(url)
    user, _, places = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user}:{quote(password, safe='')}@{places}").geturl()


def _hosts(places: str, kind: Kind) -> tuple[Host, ...]:
    hosts = tuple(_host(place, SENTINEL_PORT if kind == "sentinel" else REDIS_PORT) for place in places.split(","))
    if kind == "single" and len(hosts) > 1:
        raise ValueError("several hosts need redis+sentinel:// or redis+cluster://")
    return hosts


def _host(place: str, default_port: int) -> Host:
    try:
        one = urlsplit(f"//{place}")
        host, port = one.hostname, one.port
    except ValueError:
        host, port = None, None
    if not host or port == 0 or not _a_name(host):
        raise ValueError(
            f"it has to name a host, and a port where it is not {default_port}, as host:port "
            "(special characters in a password are written as %XX)"
        )
    return host, port or default_port


def _a_name(host: str) -> bool:
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return not any(character.isspace() for character in host)


def _socket(parts: SplitResult) -> str:
    if parts.netloc.rpartition("@")[2] or len(parts.path) < 2:
        raise ValueError("a unix socket's path comes after three slashes: unix:///run/redis/redis.sock")
    return unquote(parts.path, errors="surrogateescape")


def _service_and_db(path: str, kind: Kind) -> tuple[str, dict[str, int]]:
    first, _, rest = path.strip("/").partition("/")
    if kind == "cluster" and first:
        raise ValueError("a cluster has no numbered databases: nothing may follow the hosts")
    if kind != "sentinel":
        return "", _db("/".join(filter(None, (first, rest))))
    if not first:
        raise ValueError("it has to name Sentinel's service: redis+sentinel://host:26379/service")
    return unquote(first), _db(rest)


def _db(text: str) -> dict[str, int]:
    try:
        return {"db": _whole(text)} if text else {}
    except ValueError as error:
        raise ValueError(f"the database, which follows the last slash, {error}") from None


def _login(login: str) -> dict[str, str]:
    user, _, password = login.partition(":")
    return {name: unquote(text) for name, text in (("username", user), ("password", password)) if text}


def _query(query: str, kind: Kind, *, tls: bool) -> dict[str, Any]:
    options = {}
    for name, text in parse_qsl(query, keep_blank_values=True):
        if name not in OPTIONS:
            raise ValueError(f"an option after its ? is none of {', '.join(OPTIONS)}")
        if name.startswith("ssl_") and not tls:
            raise ValueError(f"{name} needs TLS: rediss://")
        if name.startswith("sentinel_") and kind != "sentinel":
            raise ValueError(f"{name} needs redis+sentinel://")
        try:
            options[name] = OPTIONS[name](text)
        except ValueError as error:
            raise ValueError(f"{name} {error}") from None
    if "ssl_keyfile" in options and "ssl_certfile" not in options:
        raise ValueError("ssl_keyfile needs ssl_certfile")
    if kind == "cluster" and "db" in options:
        raise ValueError("a cluster has no numbered databases: db cannot be set")
    return options


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise ValueError("has to be a whole number")
    return int(text)


def _flag(text: str) -> bool:
    if text not in {"true", "false"}:
        raise ValueError("has to be true or false")
    return text == "true"


def _requirement(text: str) -> str:
    if text not in {"required", "optional", "none"}:
        raise ValueError("has to be required, optional or none")
    return text


OPTIONS: dict[str, Callable[[str], Any]] = {
    "db": _whole,
    "username": str,
    "password": str,
    "client_name": str,
    "sentinel_username": str,
    "sentinel_password": str,
    "ssl_ca_certs": str,
    "ssl_certfile": str,
    "ssl_keyfile": str,
    "ssl_password": str,
    "ssl_cert_reqs": _requirement,
    "ssl_check_hostname": _flag,
}
