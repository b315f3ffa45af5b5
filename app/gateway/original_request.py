"""The client's request, read from the headers that a reverse proxy sets. Pure.

Each function reads only the headers of its own proxy: any other header may be the client's.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

MAX_URL_BYTES = 16_384
DEFAULT_PORTS = {"http": 80, "https": 443}
URL = re.compile(rb"(?P<scheme>https?)://(?P<authority>[^/?#\\]*)(?P<target>/.*)?", re.IGNORECASE | re.DOTALL)
AUTHORITY = re.compile(rb"(?P<name>[a-z0-9_](?:[a-z0-9._-]{0,252})|\[[0-9a-f:.]{2,45}\])(?::(?P<port>\d{1,5}))?")
METHOD = re.compile(rb"[A-Z0-9!#$%&'*+.^_`|~-]{1,32}")
"""No lower case: Flask treats `post` as POST, and a rule for POST would not match."""
CONTROL = re.compile(rb"[\x00-\x20\x7f]")
UNSAFE = re.compile(rb"[^\x21-\x7e]|[#\\]")


class BadOriginalRequest(Exception):
    """The original request is missing, doubled or malformed. `field` names the header, `reason` says what is wrong."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


@dataclass(frozen=True, slots=True)
class OriginalRequest:
    """`host` is in lower case without a port or trailing dot; `port` is None for the scheme's default one.

    `path` and `query` are as the client sent them; `query` has its question mark, or is empty.
    """

    method: str
    scheme: str
    host: str
    port: int | None
    path: bytes
    query: bytes = b""

    @property
    def origin(self) -> str:
        """`https://wiki.example.com`, with the port where it is not the default."""
        return f"{self.scheme}://{self.host}" + ("" if self.port is None else f":{self.port}")

    @property
    def target(self) -> str:
        """Path and query; bytes that mean something else in a URL, or nothing, are percent-encoded."""
        raw = self.path + self.query
        if UNSAFE.search(raw) is None:
            return raw.decode()
        return "".join(chr(byte) if UNSAFE.match(bytes((byte,))) is None else f"%{byte:02X}" for byte in raw)


def from_auth_request(headers: Iterable[tuple[bytes, bytes]]) -> OriginalRequest:
    """For nginx (`auth_request`): an absolute `X-Original-URL`, and `X-Original-Method`. Raises BadOriginalRequest."""
    url, method = _only(headers, b"x-original-url", b"x-original-method")
    field = "X-Original-URL"
    match = URL.fullmatch(_short(field, url))
    if match is None:
        raise BadOriginalRequest(field, "must be an absolute http or https URL")
    scheme = match["scheme"].decode().lower()
    return _request("X-Original-Method", method, scheme, field, match["authority"], field, match["target"] or b"/")


def from_forward_auth(headers: Iterable[tuple[bytes, bytes]]) -> OriginalRequest:
    """Traefik's ForwardAuth and Caddy's `forward_auth`: X-Forwarded-Method, -Proto, -Host and -Uri."""
    names = (b"x-forwarded-method", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-uri")
    method, proto, host, uri = _only(headers, *names)
    scheme = _scheme(proto)
    return _request("X-Forwarded-Method", method, scheme, "X-Forwarded-Host", host, "X-Forwarded-Uri", uri)


def from_ext_authz(headers: Iterable[tuple[bytes, bytes]], method: str, target: bytes) -> OriginalRequest:
    """Envoy's HTTP ext_authz: the check has the client's method, host, path and query; `target` is the raw path
    and query after the prefix. The scheme is in X-Forwarded-Proto.
    """
    host, proto = _only(headers, b"host", b"x-forwarded-proto")
    return _request("method", method.encode("latin-1"), _scheme(proto), "Host", host, "path", target)


def split_authority(authority: bytes, scheme: str) -> tuple[str, int | None] | None:
    """The host name and the port (None: the scheme's default one) of `name:port`; None if it is malformed."""
    match = AUTHORITY.fullmatch(authority.lower())
    if match is None:
        return None
    name = match["name"].decode().removesuffix(".")
    port = int(match["port"]) if match["port"] else DEFAULT_PORTS[scheme]
    if not 0 < port < 65536 or not name or ".." in name:
        return None
    return name, None if port == DEFAULT_PORTS[scheme] else port


def _request(
    method_field: str, method: bytes, scheme: str, host_field: str, authority: bytes, target_field: str, target: bytes
) -> OriginalRequest:
    if METHOD.fullmatch(method) is None:
        raise BadOriginalRequest(method_field, "must be an HTTP method in capital letters")
    if b"@" in authority:
        raise BadOriginalRequest(host_field, "must not hold user information")
    place = split_authority(authority, scheme)
    if place is None:
        raise BadOriginalRequest(host_field, "must name one host")
    _short(target_field, target)
    if not target.startswith(b"/") or CONTROL.search(target):
        raise BadOriginalRequest(target_field, "must be a path that begins with / and holds no control characters")
    path, mark, query = target.partition(b"?")
    return OriginalRequest(method.decode(), scheme, *place, path, mark + query)


def _only(headers: Iterable[tuple[bytes, bytes]], *names: bytes) -> list[bytes]:
    """The values of headers that must occur exactly once."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in names:
            if name in found:
                raise BadOriginalRequest(_title(name), "is there more than once")
            found[name] = value
    for name in names:
        if not found.get(name):
            raise BadOriginalRequest(_title(name), "is missing: the proxy has to set it")
    return [found[name] for name in names]


def _scheme(proto: bytes) -> str:
    scheme = proto.lower().decode("latin-1")
    if scheme not in DEFAULT_PORTS:
        # Envoy without `use_remote_address` doubles it: "https,http".
        raise BadOriginalRequest("X-Forwarded-Proto", "must be http or https, once")
    return scheme


def _short(field: str, value: bytes) -> bytes:
    if len(value) > MAX_URL_BYTES:
        raise BadOriginalRequest(field, f"must be at most {MAX_URL_BYTES} bytes long")
    return value


def _title(name: bytes) -> str:
    return name.decode().title().replace("-Url", "-URL")
