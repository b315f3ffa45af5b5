"""JSON bodies of requests to the API of sites."""

from typing import Annotated, Literal

from pydantic import Field

from app.sites.page_address import MAX_ADDRESS_LENGTH
from app.web.body import Body, Text

MAX_VALUE = 10**15
Value = Annotated[int, Field(ge=0, le=MAX_VALUE)]


class FirstValues(Body):
    """What was counted before; `path` is empty for the site alone."""

    path: Annotated[str, Field(max_length=MAX_ADDRESS_LENGTH)]
    visits: Value
    visitors: Value | None = None


class PersonRight(Body):
    may: Literal["view", "edit"]


class NewOwner(Body):
    name: Text
