"""Passkeys: options for the browser, and the verification of its responses (Web Authentication, Level 3). Pure."""

import ipaddress
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from app.accounts.models import User
from app.lazy import LazyModule

if TYPE_CHECKING:
    import webauthn
    from webauthn import helpers
    from webauthn.helpers import exceptions, structs
else:
    webauthn = LazyModule("webauthn")
    helpers = LazyModule("webauthn.helpers")
    exceptions = LazyModule("webauthn.helpers.exceptions")
    structs = LazyModule("webauthn.helpers.structs")

MAX_CREDENTIAL_LENGTH = 8192
"""Characters of a response of the browser as JSON."""
USER_ID = re.compile(r"[0-9a-f]{32}")
MAX_ID_LENGTH = 1364
"""A credential id has at most 1,023 bytes (7.1, step 25), here in base64."""


class BadPasskey(Exception):
    """The response is refused. The text is for the log of a developer: it holds no secret."""


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """The service, as passkeys know it."""

    origin: str
    name: str

    @property
    def id(self) -> str:
        return urlsplit(self.origin).hostname or ""

    @property
    def possible(self) -> bool:
        """Whether browsers make passkeys for it: they need HTTPS and a domain name, or localhost."""
        try:
            ipaddress.ip_address(self.id)
        except ValueError:
            return self.origin.startswith("https://") or self.id == "localhost" or self.id.endswith(".localhost")
        return False


@dataclass(frozen=True, slots=True)
class Passkey:
    """A registered passkey. Times are Unix seconds; `used` is 0 before the first use. `id` is base64url."""

    id: str
    name: str
    public_key: str
    count: int
    created: float
    used: float = 0.0
    synced: bool = False


def registration_options(party: RelyingParty, user: User, challenge: bytes, known: list[Passkey]) -> str:
    """The options of `navigator.credentials.create`, as JSON."""
    options = webauthn.generate_registration_options(
        rp_id=party.id,
        rp_name=party.name,
        user_id=user.id.encode(),
        user_name=user.name,
        user_display_name=user.label,
        challenge=challenge,
        authenticator_selection=structs.AuthenticatorSelectionCriteria(
            resident_key=structs.ResidentKeyRequirement.REQUIRED,
            user_verification=structs.UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=[
            structs.PublicKeyCredentialDescriptor(id=helpers.base64url_to_bytes(one.id)) for one in known
        ],
    )
    return helpers.options_to_json(options)


def sign_in_options(party: RelyingParty, challenge: bytes) -> str:
    """The options of `navigator.credentials.get`, as JSON, for any user's passkey."""
    options = webauthn.generate_authentication_options(
        rp_id=party.id, challenge=challenge, user_verification=structs.UserVerificationRequirement.REQUIRED
    )
    return helpers.options_to_json(options)


def parsed(text: str) -> dict[str, Any]:
    """The browser's response. Raises BadPasskey."""
    try:
        document = json.loads(text) if len(text) <= MAX_CREDENTIAL_LENGTH else None
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or not isinstance(document.get("response"), dict):
        raise BadPasskey("the response is no JSON object")
    if not isinstance(document.get("id"), str) or len(document["id"]) > MAX_ID_LENGTH:
        raise BadPasskey("the credential's id is missing or too long")
    return document


def challenge_of(response: dict[str, Any]) -> bytes:
    """The challenge that the response answers. Raises BadPasskey."""
    try:
        client_data = json.loads(helpers.base64url_to_bytes(response["response"]["clientDataJSON"]))
        return helpers.base64url_to_bytes(client_data["challenge"])
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        raise BadPasskey("the response names no challenge") from None


def user_handle_of(response: dict[str, Any]) -> str:
    """The user id in the passkey's user handle. Raises BadPasskey."""
    try:
        handle = helpers.base64url_to_bytes(response["response"]["userHandle"]).decode("ascii")
    except (KeyError, TypeError, ValueError, AttributeError):
        raise BadPasskey("the response names no user") from None
    if not USER_ID.fullmatch(handle):
        raise BadPasskey("the response names no user")
    return handle


def registered(party: RelyingParty, response: dict[str, Any], challenge: bytes, name: str, now: float) -> Passkey:
    """The new passkey of a response. Raises BadPasskey."""
    try:
        found = webauthn.verify_registration_response(
            credential=response,
            expected_challenge=challenge,
            expected_rp_id=party.id,
            expected_origin=party.origin,
            require_user_verification=True,
        )
    except (exceptions.WebAuthnException, ValueError, KeyError, TypeError) as error:
        raise BadPasskey(str(error)) from None
    public_key, synced = helpers.bytes_to_base64url(found.credential_public_key), found.credential_backed_up
    return Passkey(
        helpers.bytes_to_base64url(found.credential_id), name, public_key, found.sign_count, now, synced=synced
    )


def verified_count(party: RelyingParty, response: dict[str, Any], challenge: bytes, passkey: Passkey) -> int:
    """The signature counter of a verified response; the store compares it. Raises BadPasskey."""
    try:
        found = webauthn.verify_authentication_response(
            credential=response,
            expected_challenge=challenge,
            expected_rp_id=party.id,
            expected_origin=party.origin,
            credential_public_key=helpers.base64url_to_bytes(passkey.public_key),
            credential_current_sign_count=0,
            require_user_verification=True,
        )
    except (exceptions.WebAuthnException, ValueError, KeyError, TypeError) as error:
        raise BadPasskey(str(error)) from None
    return found.new_sign_count
