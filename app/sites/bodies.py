"""JSON bodies of requests and responses of the API of sites."""

from typing import Annotated, Literal

from pydantic import Field

from app.sites.hit import Exclusion
from app.sites.page_address import MAX_ADDRESS_LENGTH
from app.sites.site_settings import WHOLE
from app.web.body import Body, Text
from app.web.openapi import ResponseModel

MAX_VALUE = 10**15
Value = Annotated[int, Field(ge=0, le=MAX_VALUE), WHOLE]
Count = Annotated[int, Field(ge=0)]


class FirstValues(Body):
    """Totals from another counter; `path` is empty for the site itself."""

    path: Annotated[str, Field(max_length=MAX_ADDRESS_LENGTH)]
    visits: Value
    visitors: Value | None = None


class PersonRight(Body):
    may: Literal["view", "edit"]


class NewOwner(Body):
    name: Text


class SiteDocument(ResponseModel):
    id: str
    name: str
    hosts: list[str]
    time_zone: str
    keep_query: list[str]
    trailing_slash: bool
    lower_case: bool
    max_paths: int
    public: bool
    privacy: Literal["total", "nothing"]
    frame: list[str]
    ignore: list[str]
    retention_days: int
    created: float
    may: Literal["view", "edit", "own"]
    script: str
    hit: str
    tag: str


class Sites(ResponseModel):
    sites: list[SiteDocument]


class OwnedSite(SiteDocument):
    owner: str | None


class OwnedSites(ResponseModel):
    sites: list[OwnedSite]


class Point(ResponseModel):
    at: str
    visits: Count
    visitors: Count


class Before(ResponseModel):
    visits: Count


class Stats(ResponseModel):
    visits: Count
    visitors: Count
    time_zone: str
    series: list[Point]
    before: Before
    left_out: dict[Exclusion, Count]


class TopRow(ResponseModel):
    name: str
    visits: Count
    visitors: Count


class Top(ResponseModel):
    rows: list[TopRow]
    other: int


class Share(ResponseModel):
    token: str
    url: str


class ImportPreview(ResponseModel):
    visits: Count
    pages: Count


class NewImport(ResponseModel):
    id: str
    visits: Count


class ImportSummary(ResponseModel):
    id: str
    format: str
    visits: Count
    pages: Count


class Imports(ResponseModel):
    imports: list[ImportSummary]
