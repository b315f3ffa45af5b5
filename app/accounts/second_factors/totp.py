"""Time-based one-time passwords of an authenticator app (RFC 6238). Pure."""

import hmac
import io
from typing import TYPE_CHECKING

import pyotp

from app.lazy import LazyModule

if TYPE_CHECKING:
    import segno
else:
    segno = LazyModule("segno")

PERIOD = 30
"""Seconds of a time step."""
DIGITS = 6
WINDOW = 1
"""Steps before and after the present one whose codes are accepted (RFC 6238, 5.2)."""


def new_totp_secret() -> str:
    """160 random bits in base32."""
    return pyotp.random_base32(32)


def step_of(secret: str, code: str, now: float) -> int | None:
    """The time step whose code this is; None for a wrong code."""
    if not (code.isascii() and code.isdigit() and len(code) == DIGITS):
        return None
    present, codes = int(now) // PERIOD, pyotp.HOTP(secret)
    steps = [step for step in range(present - WINDOW, present + WINDOW + 1) if step >= 0]
    matches = [step for step in steps if hmac.compare_digest(codes.at(step), code)]
    return max(matches, default=None)


def provisioning_uri(secret: str, user: str, site: str) -> str:
    """The `otpauth:` URI of the QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=user, issuer_name=site)


def qr_code(text: str) -> str:
    """An SVG element. It has no inline style, which the Content-Security-Policy forbids."""
    out = io.BytesIO()
    segno.make(text, error="m", micro=False).save(
        out, kind="svg", border=4, light="#fff", dark="#000", xmldecl=False, svgns=True, svgclass="qr", lineclass=None,
        omitsize=True,
    )  # fmt: skip
    return out.getvalue().decode()
