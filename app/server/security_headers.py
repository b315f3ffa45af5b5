"""The security headers of every response (OWASP ASVS 5.0, chapter 3.4)."""

RawHeader = tuple[bytes, bytes]
RawHeaders = list[RawHeader]
CONTENT_SECURITY_POLICY = (
    b"default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' https: data:; connect-src 'self'; "
    b"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS: RawHeaders = [
    (b"content-security-policy", CONTENT_SECURITY_POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
KEEPS_OPENER = (b"cross-origin-opener-policy", b"unsafe-none")
STRICT_TRANSPORT = (b"strict-transport-security", b"max-age=31536000")


def with_security(headers: RawHeaders) -> RawHeaders:
    """Adds the security headers to a response's headers, except those that it sets itself."""
    own = {name for name, _ in headers}
    return [*headers, *(header for header in SECURITY_HEADERS if header[0] not in own)]
