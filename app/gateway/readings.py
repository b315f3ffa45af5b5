"""All readings of a path: the paths that applications may decode it to. Pure.

Servers and frameworks disagree on dot segments, encoded slashes, doubled slashes, backslashes, path parameters (`;`)
and repeated decoding; some take what follows a leading `//` for a host. A rule that looks at one reading can be
passed by a path that the application reads in another (CVE-2021-43798, GHSA-6jwx, GHSA-pxq7), so rules look at every
reading, and the strictest effect counts.
"""

import re
from urllib.parse import unquote_to_bytes

MAX_READINGS = 64
"""A path with more readings is refused: no application has such paths."""
MAX_AMBIGUOUS_BYTES = 8192
CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
AMBIGUOUS = re.compile(
    rb"//|/\.{1,2}(?=/|$|;)|[\\;#?]|%(?:2[35eEfF]|3[bBfF]|5[cC])|%20$",
)
"""Doubled slashes, dot segments, backslash, `;`, `#`, the escapes of `# % . / ; ? \\`, and a space at the end."""
ESCAPE = re.compile(rb"%[0-9a-fA-F]{2}")
HARMLESS_ESCAPE = re.compile(rb"%(?!2[35fF]|3[bBfF]|5[cC])[0-9a-fA-F]{2}")
"""The escapes that Traefik and Envoy decode, which keep encoded slashes."""
PARAMETERS = re.compile(rb";[^/]*")
DOUBLED = re.compile(rb"//+")
LEADING_SEGMENT = re.compile(rb"^//+[^/]*/?")
"""`//x/secret` is a URL without a scheme for JavaScript's `new URL(path, base)` and Python's `urlsplit`."""
LEADING_HOST = re.compile(rb"^//+(?:[^/]*@)?[^/;%<>\"`{}|\\^' ]*/?")
"""Likewise for Node's `url.parse`, whose host ends at a character that no host has: `//u@x%73ecret` is `/%73ecret`."""


class BadPath(Exception):
    """The path cannot be read; the text is the reason."""


def readings(path: bytes) -> frozenset[bytes]:
    """The decoded paths that applications may read. Raises BadPath."""
    plain = decoded(path)
    if not AMBIGUOUS.search(path) and not ESCAPE.search(plain):
        return frozenset((plain,))
    if len(path) > MAX_AMBIGUOUS_BYTES:
        raise BadPath("a path with dot segments, doubled slashes or such escapes must be shorter")
    found = {path, plain}
    waiting = [path, plain]
    while waiting:
        for other in _variants(waiting.pop()):
            if other not in found:
                found.add(other)
                waiting.append(other)
                if len(found) > MAX_READINGS:
                    raise BadPath("the path can be read in too many ways")
    return frozenset(found)


def decoded(path: bytes) -> bytes:
    """The path with its escapes decoded once. Raises BadPath."""
    plain = unquote_to_bytes(path) if b"%" in path else path
    if CONTROL.search(plain):
        raise BadPath("the path holds a control character")
    try:
        plain.decode()
    except UnicodeDecodeError:
        raise BadPath("the path is not valid UTF-8") from None
    return plain


def _variants(path: bytes) -> list[bytes]:
    """The path after one step of an application's normalisation."""
    variants = [
        DOUBLED.sub(b"/", path),
        path.replace(b"\\", b"/"),
        PARAMETERS.sub(b"", path),
        _without_dot_segments(path),
        path.partition(b"#")[0],
        path.partition(b"?")[0],
        path.rstrip(b" "),
        LEADING_SEGMENT.sub(b"/", path),
        LEADING_HOST.sub(b"/", path),
    ]
    if ESCAPE.search(path):
        variants.append(decoded(path))
        variants.append(HARMLESS_ESCAPE.sub(lambda escape: unquote_to_bytes(escape.group()), path))
    return [variant or b"/" for variant in variants]


def _without_dot_segments(path: bytes) -> bytes:
    """RFC 3986, section 5.2.4; `..` above the root stays there."""
    kept: list[bytes] = []
    segments = path.split(b"/")[1:]
    for segment in segments:
        if segment == b"..":
            kept = kept[:-1]
        elif segment != b".":
            kept.append(segment)
    if segments and segments[-1] in {b".", b".."}:
        kept.append(b"")
    return b"/" + b"/".join(kept)
