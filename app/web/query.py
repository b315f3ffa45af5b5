"""Numbers in the query."""

from typing import Any

from starlette.requests import Request

from app.web.errors import BadRequest

MAX_DIGITS = 15


def whole_number(text: str, least: int = 0, most: int = 10**MAX_DIGITS) -> int | None:
    """The whole number in ASCII digits if it is within the bounds; None for any other text."""
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS else -1
    return number if least <= number <= most else None


def query_number(request: Request[Any], name: str, least: int = 1, most: int = 10**MAX_DIGITS) -> int | None:
    """A whole number of the query; None if it is not there. Raises BadRequest."""
    text = request.query_params.get(name)
    if text is None:
        return None
    number = whole_number(text, least, most)
    if number is None:
        raise BadRequest(f"{name}: must be a whole number from {least} to {most}", field=name)
    return number
