"""A browser's way to a provider and back."""

import re
from dataclasses import dataclass
from html import unescape
from typing import Any
from urllib.parse import urljoin

import httpx

from tests.helpers.sockets import PATIENCE


@dataclass(frozen=True, slots=True)
class Walk:
    """The steps of a sign-in elsewhere in one browser."""

    browser: httpx.AsyncClient

    async def out(self, name: str = "corp", **query: str) -> str:
        """Presses the button: the provider's address to which it leads."""
        answer = await self.browser.get(f"/oauth/{name}/start", params=query)
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    async def there(self, address: str) -> str:
        """Consents: the address to which the provider sends the browser."""
        async with httpx.AsyncClient(verify=False, timeout=PATIENCE) as outside:
            answer = await outside.get(address)
        assert answer.is_redirect, answer.text
        return answer.headers["location"]

    async def back(self, callback: str, **options: Any) -> httpx.Response:
        return await self.browser.get(callback, **options)

    async def whole(self, name: str = "corp", **query: str) -> httpx.Response:
        """The answer to the callback."""
        return await self.back(await self.there(await self.out(name, **query)))

    async def user(self) -> dict[str, Any] | None:
        """Who is signed in in this browser."""
        answer = await self.browser.get("/api/session")
        return answer.json()["user"] if answer.status_code == 200 else None


async def link(walk: Walk, name: str = "corp") -> httpx.Response:
    """Presses "Link" on the account page, and goes there and back."""
    page = await walk.browser.post(f"/account/identities/{name}")
    assert page.status_code == 200, page.text
    found = re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', page.text)
    assert found is not None
    return await walk.back(await walk.there(found[1].replace("&amp;", "&")))


async def identity_ids(walk: Walk) -> list[str]:
    page = await walk.browser.get("/account")
    return re.findall(r"unlink\?id=([0-9a-f]{64})", page.text)


class There(httpx.AsyncClient):
    """The browser at a provider that has pages: it has cookies of its own there, and presses on."""

    def __init__(self, home: str) -> None:
        super().__init__(verify=False, timeout=PATIENCE)
        self._home = home

    async def until_back(self, address: str, **fields: str) -> str:
        """Goes on, by redirects and by sending each page's form, until the way leads home."""
        answer = await self.get(address)
        for _ in range(20):
            if answer.is_redirect:
                target = urljoin(str(answer.url), answer.headers["location"])
                if target.startswith(self._home):
                    return target
                answer = await self.get(target)
                continue
            form = re.search(r'<form[^>]*action="([^"]+)"', answer.text)
            assert form is not None, answer.text
            hidden = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]+)"', answer.text))
            answer = await self.post(urljoin(str(answer.url), unescape(form[1])), data={**hidden, **fields})
        raise AssertionError("the way does not lead home")
