"""What a page says, read as its reader does."""

import re
from html import unescape

import httpx

from tests.helpers.service import Running
from tests.helpers.waiting import eventually


def error_at(page: httpx.Response, field: str) -> str | None:
    """What the page says is wrong with a field."""
    return _text(page, rf'<p class="error" id="{field}-error">(.*?)</p>')


def alert(page: httpx.Response) -> str | None:
    """What the page says is wrong with no field of its own."""
    return _text(page, r'<p class="flash bad" role="alert">(.*?)(?:<br>.*)?</p>')


def message(page: httpx.Response) -> str | None:
    """What was left to be said on the next page."""
    return _text(page, r'<p class="flash" role="status">(.*?)</p>')


def shown_secret(page: httpx.Response) -> str:
    """What is shown once: a token, or an invitation's link."""
    secret = _text(page, r'<code class="token">(.*?)</code>')
    assert secret, page.text
    return secret


def value_of(page: httpx.Response, name: str) -> str | None:
    """What a form's field holds already."""
    return _text(page, rf'name="{name}"[^>]*? value="(.*?)"')


def rows(page: httpx.Response) -> list[str]:
    """The lines of the page's table, as plain text."""
    body = page.text.partition("<tbody>")[2].partition("</tbody>")[0]
    return [" ".join(unescape(re.sub("<[^>]+>", " ", row)).split()) for row in body.split("</tr>")[:-1]]


def next_page(page: httpx.Response) -> str | None:
    """Where the list goes on; None on its last page."""
    return _text(page, r'href="([^"]+)" rel="next"')


def _text(page: httpx.Response, pattern: str) -> str | None:
    found = re.search(pattern, page.text.partition("<main")[2], re.DOTALL)
    return unescape(found[1]) if found else None


def same_browser(client: httpx.AsyncClient, service: Running) -> httpx.AsyncClient:
    """The browser as another worker sees it: with the cookies that it has."""
    return service.another_client(cookies=client.cookies)


async def status(client: httpx.AsyncClient) -> int:
    """200 while the browser is signed in, 401 when it is not."""
    return (await client.get("/api/session")).status_code


async def until_thrown_out(client: httpx.AsyncClient) -> None:
    async def thrown_out() -> bool:
        return await status(client) == 401

    await eventually(thrown_out)
