"""A browser that signs in by a provider."""

import re
from dataclasses import dataclass
from html import unescape
from typing import Any
from urllib.parse import urljoin

import httpx

from tests.helpers.sockets import PATIENCE


@dataclass(frozen=True, slots=True)
class OAuthFlow:
    """The steps of the authorization code flow in one browser."""

    browser: httpx.AsyncClient

    async def start(self, name: str = "corp", **query: str) -> str:
        """Starts the sign-in: returns the authorization request, a URL of the provider."""
        answer = await self.browser.get(f"/oauth/{name}/start", params=query)
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    async def authorize(self, address: str) -> str:
        """Sends the authorization request: returns the callback URL, to which the provider redirects."""
        async with httpx.AsyncClient(verify=False, timeout=PATIENCE) as outside:
            answer = await outside.get(address)
        assert answer.is_redirect, answer.text
        return answer.headers["location"]

    async def callback(self, callback: str, **options: Any) -> httpx.Response:
        return await self.browser.get(callback, **options)

    async def sign_in(self, name: str = "corp", **query: str) -> httpx.Response:
        """All steps; returns the response to the callback."""
        return await self.callback(await self.authorize(await self.start(name, **query)))

    async def user(self) -> dict[str, Any] | None:
        """The user who is signed in in this browser."""
        answer = await self.browser.get("/api/session")
        return answer.json()["user"] if answer.status_code == 200 else None


async def link(flow: OAuthFlow, name: str = "corp") -> httpx.Response:
    """Presses "Link" on the account page, and signs in by the provider."""
    page = await flow.browser.post(f"/account/identities/{name}")
    assert page.status_code == 200, page.text
    found = re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', page.text)
    assert found is not None
    return await flow.callback(await flow.authorize(found[1].replace("&amp;", "&")))


async def identity_ids(flow: OAuthFlow) -> list[str]:
    page = await flow.browser.get("/account")
    return re.findall(r"unlink\?id=([0-9a-f]{64})", page.text)


class ProviderBrowser(httpx.AsyncClient):
    """A browser at a provider that has pages; it keeps the provider's cookies."""

    def __init__(self, home: str) -> None:
        super().__init__(verify=False, timeout=PATIENCE)
        self._home = home

    async def follow(self, address: str, **fields: str) -> str:
        """Follows redirects and sends each page's form, until the provider redirects to the service."""
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
        raise AssertionError("the provider does not redirect to the service")
