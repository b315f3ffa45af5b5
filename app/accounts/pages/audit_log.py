"""Administration: the audit log."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.accounts.administration.audit_query import filter_of
from app.accounts.guards import admin_required
from app.accounts.helpers import names_of, page
from app.accounts.lifespan import AccountState
from app.accounts.models import User
from app.audit.log import Event

FILTERS = ("user", "event", "since", "until")


@admin_required
async def show_audit_log(request: Request[AccountState], admin: User) -> Response:
    query, before = request.query_params, request.query_params.get("before")
    found = await request.state["audit"].page(before, wanted=await filter_of(request))
    return await page(
        request,
        "accounts/audit.html",
        entries=found.entries,
        names=await names_of(request, (each for entry in found.entries for each in (entry.user, entry.actor))),
        events=[event.value for event in Event],
        filters={name: query.get(name, "")[:256] for name in FILTERS},
        before=before,
        more=found.before,
    )


routes = [Route("/admin/audit", show_audit_log, methods=["GET"])]
