"""Imports and exports by the API."""

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from app.sites.access import Right, site_for
from app.sites.lifespan import SitesState
from app.sites.transfer.exporter import csv_lines, json_lines
from app.sites.transfer.formats import READERS
from app.sites.transfer.importer import Gone, Incoming, TooManyFiles
from app.sites.transfer.unpack import BadFile, TooMuch
from app.web.errors import BadRequest, Conflict, NotFound, TooLarge, Unavailable
from app.web.i18n import N_
from app.web.responses import json_response

EXPORTS = {"csv": ("text/csv; charset=utf-8", csv_lines), "jsonl": ("application/jsonl; charset=utf-8", json_lines)}


async def import_file(request: Request[SitesState]) -> Response:
    """`POST /api/sites/{id}/imports?format=&preview=1`: the file is the body."""
    site, user = await site_for(request, Right.EDIT)
    kind = request.query_params.get("format") or None
    if kind is not None and kind not in READERS:
        raise BadRequest(f"format: must be one of {', '.join(READERS)}", field="format")
    importer, today = request.state["importer"], request.state["site_stats"].today(site)
    preview = request.query_params.get("preview", "0")
    if preview not in {"0", "1"}:
        raise BadRequest("preview: must be 0 or 1", field="preview")
    file = Incoming(user.id, request.stream(), kind)
    try:
        if preview == "1":
            found = await importer.preview(site, file, today)
            return json_response({"visits": found.visits, "pages": found.pages})
        found = await importer.run(site, file, today)
    except Gone:
        raise Conflict(N_("The site or the import has been removed meanwhile.")) from None
    except TooMuch:
        raise TooLarge from None
    except TooManyFiles:
        raise Unavailable(
            N_("Too many files are imported now. Please try again in a minute."), retry_after=60
        ) from None
    except BadFile as error:
        raise BadRequest(f"body: {error}", field="body") from None
    except ClientDisconnect:
        raise BadRequest("body: ended early", field="body") from None
    await request.state["site_store"].raise_revision(site)
    request.state["known_sites"].forget(site)
    return json_response({"id": found.id, "visits": found.visits}, 201)


async def list_imports(request: Request[SitesState]) -> Response:
    site, _ = await site_for(request, Right.VIEW)
    return json_response({"imports": await request.state["importer"].list(site)})


async def undo_import(request: Request[SitesState]) -> Response:
    """`DELETE /api/sites/{id}/imports/{import}`: undoes it."""
    site, _ = await site_for(request, Right.EDIT)
    if not await request.state["importer"].undo(site, request.path_params["import"]):
        raise NotFound
    await request.state["site_store"].raise_revision(site)
    request.state["known_sites"].forget(site)
    return Response(status_code=204)


async def export(request: Request[SitesState]) -> Response:
    """`GET /api/sites/{id}/export?format=csv|jsonl`, streamed."""
    site, _ = await site_for(request, Right.VIEW)
    kind = request.query_params.get("format", "csv")
    if kind not in EXPORTS:
        raise BadRequest("format: must be csv or jsonl", field="format")
    media_type, lines = EXPORTS[kind]
    headers = {"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="{site.id}.{kind}"'}
    return StreamingResponse(lines(request.state["site_stats"].store, site), media_type=media_type, headers=headers)
