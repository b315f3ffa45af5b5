"""The API of the audit log: pages of entries, and exports of all of them."""

import csv
import io
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import asdict
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app.accounts.administration.audit_query import filter_of
from app.accounts.guards import admin_required
from app.accounts.helpers import names_of
from app.accounts.lifespan import AccountState
from app.accounts.models import User
from app.audit.log import AuditEntry
from app.web.errors import BadRequest
from app.web.openapi import ApiRoute, Operation, Query, ResponseModel
from app.web.responses import json_response

PAGE_SIZE = 100
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet runs a cell that begins with one of these (CSV injection)."""
MEDIA = {"csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl"}


class EntryModel(ResponseModel):
    id: str
    at: float
    event: str
    user: str
    user_name: str
    actor: str
    actor_name: str
    address: str
    request_id: str
    detail: str


class AuditPage(ResponseModel):
    entries: list[EntryModel]
    before: str | None


COLUMNS = tuple(EntryModel.model_fields)


@admin_required
async def list_entries(request: Request[AccountState], admin: User) -> Response:
    wanted, kind = await filter_of(request), request.query_params.get("format", "json")
    if kind == "json":
        found = await request.state["audit"].page(request.query_params.get("before"), PAGE_SIZE, wanted)
        return json_response({"entries": await _rows(request, found.entries), "before": found.before})
    if kind not in MEDIA:
        raise BadRequest("format: must be one of json, csv, jsonl", field="format")
    chunks = request.state["audit"].chunks(wanted)
    first = await anext(chunks)  # Redis away: an answer of its own, instead of one that breaks off
    headers = {"Content-Disposition": f'attachment; filename="audit.{kind}"', "Cache-Control": "no-store"}
    write = _as_csv if kind == "csv" else _as_jsonl

    async def text() -> AsyncIterator[bytes]:
        yield write(await _rows(request, first), head=True)
        async for chunk in chunks:
            yield write(await _rows(request, chunk), head=False)

    return StreamingResponse(text(), media_type=MEDIA[kind], headers=headers)


async def _rows(request: Request[AccountState], entries: Sequence[AuditEntry]) -> list[dict[str, Any]]:
    names = await names_of(request, (user_id for entry in entries for user_id in (entry.user, entry.actor)))
    return [asdict(entry) | {"user_name": names[entry.user], "actor_name": names[entry.actor]} for entry in entries]


def _as_jsonl(rows: Iterable[dict[str, Any]], *, head: bool) -> bytes:
    return b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)


def _as_csv(rows: Iterable[dict[str, Any]], *, head: bool) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    if head:
        writer.writeheader()
    writer.writerows({name: _cell(row[name]) for name in COLUMNS} for row in rows)
    return text.getvalue().encode()


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


LIST_ENTRIES = Operation(
    "The audit log, newest first",
    AuditPage,
    tag="audit",
    query={
        "user": "The id or the name of the user concerned, or of the acting one.",
        "event": "The event, such as `sign_in_failed`.",
        "since": "ISO 8601, or Unix seconds.",
        "until": "Likewise; a date alone lasts until its end.",
        "before": "The cursor of the next page.",
        "format": Query(
            "`json`: one page; `csv` or `jsonl`: all entries, streamed.", {"type": "string", "enum": ["json", *MEDIA]}
        ),
    },
    media=("application/json", "text/csv", "application/jsonl"),
    guarded=True,
)
routes = [ApiRoute("GET", "/api/audit", list_entries, LIST_ENTRIES)]
