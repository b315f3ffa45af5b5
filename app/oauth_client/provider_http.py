"""HTTP requests to providers: errors of the client become errors of the sign-in."""

import json
from dataclasses import dataclass
from typing import Any

from app.http_client.client import BadResponse, HttpResponse, SafeHttpClient, Unreachable
from app.oauth_client.errors import BadProviderResponse, ProviderUnavailable

UNAVAILABLE_STATUSES = frozenset({429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class ProviderResponse:
    """`what` names the request for the log: a method and an address without its query."""

    what: str
    status: int
    content_type: str
    body: bytes

    def value(self, *types: str) -> Any:
        """The body as JSON if the Content-Type is one of `types` (default: application/json).

        Raises BadProviderResponse.
        """
        if self.content_type not in (types or ("application/json",)):
            raise BadProviderResponse(f"{self.what}: {self.status} with Content-Type {self.content_type[:64]!r}")
        try:
            # WeChat's responses hold control characters, and name no charset.
            return json.loads(self.body.decode("utf-8"), strict=False)
        except (ValueError, RecursionError):
            raise BadProviderResponse(f"{self.what}: {self.status} with a body that is not JSON") from None

    def json(self, *types: str) -> dict[str, Any]:
        """Likewise, a JSON object. Raises BadProviderResponse."""
        document = self.value(*types)
        if not isinstance(document, dict):
            raise BadProviderResponse(f"{self.what}: {self.status} with JSON that is no object")
        return document

    def has_oauth_error(self) -> bool:
        """Whether the body names an error of OAuth, which tells more than the status."""
        try:
            return isinstance(self.json().get("error"), str)
        except BadProviderResponse:
            return False


class ProviderHttp:
    """Raises ProviderUnavailable, BadProviderResponse."""

    def __init__(self, client: SafeHttpClient) -> None:
        self._client = client

    async def get(self, url: str, **options: Any) -> ProviderResponse:
        return await self._request("GET", url, **options)

    async def post(self, url: str, form: dict[str, str], **options: Any) -> ProviderResponse:
        """Sends the form once: a provider takes a code that comes twice for a stolen one (RFC 6749, 4.1.2)."""
        return await self._request("POST", url, data=form, **options)

    async def post_json(self, url: str, document: dict[str, str], **options: Any) -> ProviderResponse:
        """Likewise, as JSON."""
        return await self._request("POST", url, json=document, **options)

    async def _request(self, method: str, url: str, **options: Any) -> ProviderResponse:
        try:
            response: HttpResponse = await self._client.request(method, url, **options)
        except Unreachable as error:
            raise ProviderUnavailable(str(error)) from None
        except BadResponse as error:
            raise BadProviderResponse(str(error)) from None
        answer = ProviderResponse(response.request, response.status, response.content_type, response.body)
        if response.status in UNAVAILABLE_STATUSES and not answer.has_oauth_error():
            raise ProviderUnavailable(f"{response.request}: {response.status}")
        return answer
