"""The form field of a WebAuthn response, which is longer than other fields may be."""

from typing import Any

from starlette.requests import Request

from app.accounts.second_factors.passkeys import MAX_CREDENTIAL_LENGTH
from app.web.body import form_of
from app.web.errors import BadRequest


async def credential_of(request: Request[Any]) -> str:
    """The field `credential`, "" if it is missing. Raises BadRequest."""
    value = (await form_of(request)).get("credential", "")
    if not isinstance(value, str) or len(value) > MAX_CREDENTIAL_LENGTH:
        raise BadRequest(
            f"credential: must be a text of at most {MAX_CREDENTIAL_LENGTH} characters", field="credential"
        )
    return value
