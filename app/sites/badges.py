"""Badges: a number of a site as a small picture. Pure."""

from html import escape

STYLES = ("flat", "flat-square", "for-the-badge")
COLORS = {
    "brightgreen": "#4c1",
    "green": "#97ca00",
    "yellowgreen": "#a4a61d",
    "yellow": "#dfb317",
    "orange": "#fe7d37",
    "red": "#e05d44",
    "blue": "#007ec6",
    "grey": "#555",
    "gray": "#555",
    "lightgrey": "#9f9f9f",
    "lightgray": "#9f9f9f",
    "success": "#4c1",
    "important": "#fe7d37",
    "critical": "#e05d44",
    "informational": "#007ec6",
    "inactive": "#9f9f9f",
}
"""Names of colours at shields.io."""
MAX_LABEL_LENGTH = 60
NARROW, WIDE = frozenset("iljtfr.,:;|!'()[] "), frozenset("mwMW@%")


def color_code(text: str) -> str | None:
    """The SVG colour of a name or of hexadecimal digits; None for anything else."""
    if text.lower() in COLORS:
        return COLORS[text.lower()]
    digits = text.removeprefix("#")
    return f"#{digits}" if len(digits) in {3, 6} and all(c in "0123456789abcdefABCDEF" for c in digits) else None


def badge(label: str, message: str, color: str, style: str) -> str:
    """A badge in the style of shields.io."""
    loud = style == "for-the-badge"
    if loud:
        label, message = label.upper(), message.upper()
    height, size, padding = (28, 10, 12) if loud else (20, 11, 6)
    left, right = (_width(text, size, loud=loud) + 2 * padding if text else 0 for text in (label, message))
    width, baseline = left + right, 18 if loud else 14
    radius = 3 if style == "flat" else 0
    label, message = escape(label), escape(message)
    text = f'y="{baseline}" text-anchor="middle"' + (' letter-spacing="1"' if loud else "")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" role="img" '
        f'aria-label="{label}: {message}"><title>{label}: {message}</title>'
        f'<clipPath id="r"><rect width="{width}" height="{height}" rx="{radius}" fill="#fff"/></clipPath>'
        f'<g clip-path="url(#r)"><rect width="{left}" height="{height}" fill="#555"/>'
        f'<rect x="{left}" width="{right}" height="{height}" fill="{escape(color)}"/></g>'
        f'<g fill="#fff" font-family="Verdana,Geneva,DejaVu Sans,sans-serif" font-size="{size}">'
        f'<text x="{left / 2:g}" {text}>{label}</text>'
        f'<text x="{left + right / 2:g}" {text}>{message}</text></g></svg>'
    )


def endpoint(label: str, message: str, color: str, style: str) -> dict[str, object]:
    """The JSON of shields.io's endpoint badge, which refuses unknown keys."""
    return {"schemaVersion": 1, "label": label, "message": message, "color": color.removeprefix("#"), "style": style}


def _width(text: str, size: int, *, loud: bool) -> int:
    units = sum(0.4 if c in NARROW else 0.95 if c in WIDE else 0.64 if ord(c) < 0x2E80 else 1.05 for c in text)
    return round(units * size + (len(text) if loud else 0))
