"""A browser's way to a provider and back."""

from dataclasses import dataclass
from typing import Any

import httpx


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
        async with httpx.AsyncClient(verify=False) as outside:
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
