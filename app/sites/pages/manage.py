"""Pages that create, change, share, reset and remove a site."""

import re

from starlette.requests import Request
from starlette.responses import Response

from app.accounts.asking import Question, ask, named_in_query
from app.accounts.guards import sign_in_required
from app.accounts.helpers import page, redirect_with_message, see_other
from app.accounts.models import User
from app.accounts.shown_once import redirect_with_secret, shown_secret
from app.sites.access import Right, address, right_of, site_for
from app.sites.api import create, new_share, remove, reset, save_changes
from app.sites.lifespan import SitesState
from app.sites.models import May, Site
from app.sites.pages.dashboard import sites_page
from app.sites.people_api import set_person
from app.sites.site_settings import NewSite, SiteChanges
from app.web.body import form_fields, validated
from app.web.errors import BadRequest, Conflict, NotFound
from app.web.i18n import N_

URL = re.compile(r"https?://([^/?#:@\[\]]+)(:\d*)?([/?#]\S*)?", re.IGNORECASE)
LISTS = ("hosts", "keep_query", "frame", "ignore")
FLAGS = ("trailing_slash", "lower_case", "public")
NUMBERS = ("max_paths", "retention_days")
TEXTS = ("name", "time_zone", "privacy")
WRONG = {
    "name": N_("A name has 1 to 100 characters."),
    "hosts": N_("Name at least one host, such as blog.example: without a port and a path."),
    "time_zone": N_("There is no such time zone. An example: Europe/Berlin."),
    "keep_query": N_("Names of parameters have no & and no =."),
    "max_paths": N_("A number from 1 to 100,000."),
    "retention_days": N_("A number from 0 to 36,500."),
    "frame": N_("An origin is a scheme and a host, such as https://example.org, without a path."),
    "ignore": N_("An address is one such as 192.0.2.1, a network one such as 192.0.2.0/24."),
}
"""What is wrong with a field of a form, for the reader."""
QUESTIONS = {
    "reset": Question(
        N_("Remove all counts of %(name)s?"), N_("Visits, visitors and lists are gone for ever."), N_("Remove")
    ),
    "remove": Question(
        N_("Remove %(name)s?"),
        N_("The site and everything that was counted for it are gone for ever."),
        N_("Remove"),
    ),
}
WITHDRAW = Question(
    N_("Withdraw the link %(name)s?"), N_("People with the link no longer see the figures."), N_("Withdraw")
)
UNDO = Question(
    N_("Undo the import %(name)s?"),
    N_("The visits that it added are removed. To have them again, import the file again."),
    N_("Undo"),
)


@sign_in_required
async def create_site(request: Request[SitesState], user: User) -> Response:
    """`POST /sites` with `name`, `hosts` and `time_zone`."""
    fields = await form_fields(request, "name", "hosts", "time_zone")
    wanted: dict[str, object] = {"name": fields["name"], "hosts": _hosts(fields["hosts"])}
    if fields["time_zone"]:
        wanted["time_zone"] = fields["time_zone"]
    try:
        site = await create(request, user, validated(NewSite, wanted))
    except BadRequest as error:
        field, sentence = _wrong(error)
        return await sites_page(request, user, error=sentence, field=field, values=fields)
    return see_other(f"/sites/{site.id}/settings")


async def show_settings(request: Request[SitesState]) -> Response:
    site, user = await site_for(request, Right.EDIT)
    return await _settings_page(request, site, user)


async def change_settings(request: Request[SitesState]) -> Response:
    site, user = await site_for(request, Right.EDIT)
    fields = await form_fields(request, *LISTS, *FLAGS, *NUMBERS, *TEXTS)
    wanted: dict[str, object] = {name: fields[name].split() for name in LISTS}
    wanted |= {"hosts": _hosts(fields["hosts"])}
    wanted |= {name: bool(fields[name]) for name in FLAGS} | {name: fields[name] for name in TEXTS}
    wanted |= {name: int(text) if (text := fields[name]).isascii() and text.isdigit() else -1 for name in NUMBERS}
    try:
        await save_changes(request, site, validated(SiteChanges, wanted))
    except BadRequest as error:
        field, sentence = _wrong(error)
        return await _settings_page(request, site, user, error=sentence, field=field, typed=fields)
    return await redirect_with_message(request, f"/sites/{site.id}/settings", N_("The settings have been saved."))


async def create_share(request: Request[SitesState]) -> Response:
    """`POST /sites/{id}/shares`: the page shows the link, once."""
    site, user = await site_for(request, Right.EDIT)
    made = await new_share(request, site)
    return await redirect_with_secret(request, user, f"/sites/{site.id}/settings", made["url"])


async def ask_to_withdraw_share(request: Request[SitesState]) -> Response:
    site, _ = await site_for(request, Right.EDIT)
    share_id = request.query_params.get("id", "")
    if share_id not in site.shares:
        raise NotFound
    back = f"/sites/{site.id}/settings"
    return await ask(request, WITHDRAW, back=back, name=share_id[:8], fields={"id": share_id})


async def withdraw_share(request: Request[SitesState]) -> Response:
    """`POST /sites/{id}/shares/withdraw` with the share's `id`."""
    site, _ = await site_for(request, Right.EDIT)
    fields = await form_fields(request, "id")
    if not await request.state["site_store"].delete_field(site, f"share:{fields['id']}"):
        raise NotFound
    request.state["known_sites"].forget(site)
    return await redirect_with_message(request, f"/sites/{site.id}/settings", N_("The link has been withdrawn."))


async def change_member(request: Request[SitesState]) -> Response:
    """`POST /sites/{id}/people` with `name` and `may`: view, edit, or none to take the right away."""
    site, user = await site_for(request, Right.OWN)
    fields = await form_fields(request, "name", "may")
    try:
        if fields["may"] == "none":
            person = await request.state["accounts"].by_name(fields["name"])
            if person is None or not await request.state["site_store"].remove_person(site, person.id):
                raise NotFound
            request.state["known_sites"].forget(site)
        else:
            await set_person(request, site, fields["name"], May(fields["may"]))
    except ValueError:
        raise BadRequest("may: must be view, edit or none", field="may") from None
    except (NotFound, Conflict):
        return await _settings_page(request, site, user, error=N_("There is no such user, or nothing changes."))
    return see_other(f"/sites/{site.id}/settings")


async def show_transfer(request: Request[SitesState]) -> Response:
    site, _ = await site_for(request, Right.EDIT)
    imports, most = await request.state["importer"].list(site), request.state["settings"].max_import_bytes
    return await page(request, "sites/transfer.html", site=site, imports=imports, most=most)


async def ask_to_undo_import(request: Request[SitesState]) -> Response:
    site, _ = await site_for(request, Right.EDIT)
    made = named_in_query(request, await request.state["importer"].list(site), lambda each: str(each["id"]))
    back, import_id = f"/sites/{site.id}/transfer", str(made["id"])
    name = f"{made['format']} {import_id[:8]}"
    return await ask(request, UNDO, back=back, name=name, fields={"id": import_id})


async def undo_import(request: Request[SitesState]) -> Response:
    """`POST /sites/{id}/imports/undo` with the import's `id`."""
    site, _ = await site_for(request, Right.EDIT)
    fields = await form_fields(request, "id")
    if not await request.state["importer"].undo(site, fields["id"]):
        raise NotFound
    await request.state["site_store"].raise_revision(site)
    request.state["known_sites"].forget(site)
    return await redirect_with_message(request, f"/sites/{site.id}/transfer", N_("The import has been undone."))


async def ask_to_run_action(request: Request[SitesState]) -> Response:
    """`GET /sites/{id}/reset` and `/sites/{id}/remove`: the question offers the export."""
    site, _ = await site_for(request, Right.OWN)
    action = request.path_params["action"]
    if action not in QUESTIONS:
        raise NotFound
    back = f"/sites/{site.id}/settings"
    return await ask(request, QUESTIONS[action], back=back, name=site.name, template="sites/ask.html", site=site)


async def run_action(request: Request[SitesState]) -> Response:
    """`POST /sites/{id}/reset` and `/sites/{id}/remove`."""
    site, _ = await site_for(request, Right.OWN)
    match request.path_params["action"]:
        case "reset":
            await reset(request, site)
            return await redirect_with_message(request, f"/sites/{site.id}", N_("All counts have been removed."))
        case "remove":
            await remove(request, site)
            return await redirect_with_message(request, "/sites", N_("The site has been removed."))
        case _:
            raise NotFound


def _hosts(text: str) -> list[str]:
    """The hosts that were typed; of a pasted URL its host."""
    return [URL.sub(r"\1", each) if URL.fullmatch(each) else each for each in text.split()]


def _wrong(error: BadRequest) -> tuple[str, str]:
    """(the wrong field, what is wrong with it)."""
    field = str(error.members.get("field", ""))
    return field, WRONG.get(field, str(error.detail))


def _form(site: Site) -> dict[str, str]:
    """A site's settings as the fields of the form."""
    rules = site.rules
    return {
        "name": site.name,
        "hosts": " ".join(site.hosts),
        "time_zone": site.time_zone,
        "keep_query": " ".join(sorted(rules.keep_query)),
        "trailing_slash": "on" if rules.trailing_slash else "",
        "lower_case": "on" if rules.lower_case else "",
        "max_paths": str(site.max_paths),
        "retention_days": str(site.retention_days),
        "privacy": site.privacy.value,
        "public": "on" if site.public else "",
        "frame": " ".join(site.frame),
        "ignore": " ".join(site.ignore),
    }


async def _settings_page(
    request: Request[SitesState],
    site: Site,
    user: User,
    *,
    error: str | None = None,
    field: str = "",
    typed: dict[str, str] | None = None,
) -> Response:
    accounts = request.state["accounts"]
    persons = [(await accounts.by_id(user_id), may) for user_id, may in site.people.items()]
    return await page(
        request,
        "sites/settings.html",
        error=error,
        field=field,
        form=typed or _form(site),
        site=site,
        may_own=right_of(user, site) >= Right.OWN,
        people=[(person.name, may.value) for person, may in persons if person is not None],
        shares=sorted(site.shares.items(), key=lambda share: share[1]),
        link=await shown_secret(request, user),
        script=address(request, f"/{request.state['settings'].collect_path}/{site.id}.js"),
        badge=address(request, f"/badge/{site.id}.svg"),
    )
