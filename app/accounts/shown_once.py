"""Secrets that a page shows once: the form redirects to the page, so reloading makes no second one."""

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from app.accounts.helpers import see_other
from app.accounts.lifespan import S
from app.accounts.models import User
from app.accounts.sign_in.waiting_forms import WaitingForm

SECRET = "secret"  # noqa: S105  a field's name


async def redirect_with_secret(request: Request[S], user: User, path: str, secret: str) -> Response:
    """Redirects to the path, whose page shows the secret by `shown_secret`."""
    handle = await request.state["waiting_forms"].keep(WaitingForm(user.id, path, [(SECRET, secret)]))
    return see_other(f"{path}{'&' if '?' in path else '?'}shown={quote(handle)}")


async def shown_secret(request: Request[S], user: User) -> str | None:
    """The secret to show, the first time only."""
    handle = request.query_params.get("shown", "")
    waiting = await request.state["waiting_forms"].take(handle, user.id) if request.method == "GET" else None
    if waiting is None or waiting.action.partition("?")[0] != request.url.path:
        return None
    return dict(waiting.fields).get(SECRET)
