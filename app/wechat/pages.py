"""Pages of WeChat, for administrators: accounts with their tokens and calls, and the last messages."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.accounts.guards import admin_required
from app.accounts.helpers import page, redirect_with_message
from app.accounts.models import User
from app.accounts.sign_in.reauthentication import confirm
from app.web.errors import NotFound
from app.web.i18n import N_
from app.wechat.errors import WeChatProblem
from app.wechat.lifespan import WeChatState
from app.wechat.message_crypto import BadMessage
from app.wechat.message_xml import parse_xml
from app.wechat.status import found_hub, refresh_by_hand, statuses

PAGE = "/admin/wechat"


@admin_required
async def show_accounts(request: Request[WeChatState], admin: User) -> Response:
    return await _page(request)


@admin_required
@confirm(N_("You are about to replace an access token of WeChat."), PAGE)
async def refresh_token(request: Request[WeChatState], admin: User) -> Response:
    """`POST /admin/wechat/{account}/refresh`: replaces the access token."""
    try:
        await refresh_by_hand(await found_hub(request))
    except WeChatProblem as problem:
        return await _page(request, problem)
    return await redirect_with_message(request, PAGE, N_("The access token has been replaced."))


@admin_required
async def list_messages(request: Request[WeChatState], admin: User) -> Response:
    """`GET /admin/wechat/messages?kind=`: the last ones, without their content."""
    found = await request.state["wechat_messages"].last()
    kind = request.query_params.get("kind", "")
    chosen = [message for message in found if kind in {"", message.kind}]
    outcomes = await asyncio.gather(*(request.state["wechat_outcomes"](each.id) for each in chosen))
    return await page(
        request,
        "wechat/messages.html",
        messages=list(zip(chosen, outcomes, strict=True)),
        kinds=sorted({message.kind for message in found}),
        kind=kind,
    )


@admin_required
async def show_message(request: Request[WeChatState], admin: User) -> Response:
    """`GET /admin/wechat/messages/{id}`: one message with its content."""
    found = await request.state["wechat_messages"].get(request.path_params["id"])
    if found is None:
        raise NotFound
    content = await request.state["wechat_messages"].content(found.id)
    try:
        fields = parse_xml(content.encode())
    except BadMessage:  # the content is gone
        fields = {}
    return await page(request, "wechat/message.html", message=found, content=content, fields=fields)


async def _page(request: Request[WeChatState], problem: WeChatProblem | None = None) -> Response:
    return await page(
        request,
        "wechat/accounts.html",
        status_code=problem.status if problem is not None else 200,
        error=problem.detail if problem is not None else None,
        errcode=problem.members.get("errcode") if problem is not None else None,
        accounts=await statuses(request),
        platforms=list(request.state["wechat"].platforms),
    )


routes = [
    Route(PAGE, show_accounts, methods=["GET"]),
    Route("/admin/wechat/{account}/refresh", refresh_token, methods=["POST"]),
    Route("/admin/wechat/messages", list_messages, methods=["GET"]),
    Route("/admin/wechat/messages/{id}", show_message, methods=["GET"]),
]
