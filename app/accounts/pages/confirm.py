"""The page "Confirm it's you" by itself, and re-authentication at a provider while a form waits."""

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from app.accounts.guards import enrolling_allowed
from app.accounts.helpers import page, see_other
from app.accounts.lifespan import AccountState
from app.accounts.models import User
from app.accounts.sign_in.reauthentication import confirmation, form, kept_fields, providers_of
from app.accounts.sign_in.waiting_forms import WaitingForm
from app.web.body import form_fields
from app.web.errors import BadRequest, NotFound
from app.web.i18n import N_
from app.web.policy import IN_POPUP, PolicyRoute
from app.web.redirects import safe_path

REASON = N_("What you want to do next needs a recent proof that it is you.")


@enrolling_allowed
async def show_confirmation(request: Request[AccountState], user: User) -> Response:
    """`GET /confirm?next=`: asks for a proof, then redirects to `next`."""
    target = safe_path(request.query_params.get("next"))
    if await request.state["sessions"].fresh(request.scope):
        return see_other(target)
    response = await form(request, user, REASON, "/confirm", [("next", target)], back="/")
    response.status_code = 200
    return response


@enrolling_allowed
async def submit_confirmation(request: Request[AccountState], user: User) -> Response:
    """`POST /confirm` with `next` and a proof."""
    question = await confirmation(request, user, REASON, "/")
    return question or see_other(safe_path((await form_fields(request, "next"))["next"]))


@enrolling_allowed
async def confirm_at_provider(request: Request[AccountState], user: User) -> Response:
    """`POST /confirm/provider` with `confirm_provider`, `confirm_action` and a form's fields, which wait."""
    own = await form_fields(request, "confirm_provider", "confirm_action")
    fields = await kept_fields(request)
    provider = next((each for each in await providers_of(request, user) if each.name == own["confirm_provider"]), None)
    if provider is None:
        raise BadRequest("confirm_provider: is none of your ways to sign in", field="confirm_provider")
    values = [(name, value) for name, all_of_it in fields.items() for value in all_of_it]
    secret = await request.state["waiting_forms"].keep(
        WaitingForm(user.id, safe_path(own["confirm_action"], "/account"), values)
    )
    start = f"/oauth/{provider.name}/start?next={quote(f'/confirm/resume?form={secret}', safe='')}"
    return await page(request, "accounts/onward.html", url=start, site=provider.label)


@enrolling_allowed
async def resume_form(request: Request[AccountState], user: User) -> Response:
    """`GET /confirm/resume?form=`: sends the form that waited, by a button or at once by script."""
    waiting = await request.state["waiting_forms"].find(request.query_params.get("form", ""), user.id)
    if waiting is None:
        raise NotFound(N_("This form has expired. Please fill it in again."))
    return await page(request, "accounts/resume.html", action=waiting.action, values=waiting.fields)


routes = [
    PolicyRoute("/confirm", show_confirmation, methods=["GET"], policy=IN_POPUP),
    PolicyRoute("/confirm", submit_confirmation, methods=["POST"], policy=IN_POPUP),
    PolicyRoute("/confirm/provider", confirm_at_provider, methods=["POST"], policy=IN_POPUP),
    PolicyRoute("/confirm/resume", resume_form, methods=["GET"], policy=IN_POPUP),
]
