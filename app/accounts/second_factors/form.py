"""The form field that holds a browser's response with a passkey: longer than others."""

from typing import Any

from starlette.requests import Request

from app.accounts.second_factors.passkeys import MAX_CREDENTIAL_LENGTH
from app.web.body import form_of
from app.web.errors import BadRequest


async def credential_of(request: Request[Any], field: str = "credential") -> str:
    """The field's value, "" if it is missing. Raises BadRequest."""
    value = (await form_of(request)).get(field, "")
    if not isinstance(value, str) or len(value) > MAX_CREDENTIAL_LENGTH:
        raise BadRequest(f"{field}: must be a text of at most {MAX_CREDENTIAL_LENGTH} characters", field=field)
    return value
