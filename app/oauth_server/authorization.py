"""Validates an authorization request: first the client and the redirect URI, then the rest. Pure."""

from app.oauth_server.errors import BadRedirect, OAuthError
from app.oauth_server.models import AuthorizationRequest, Client
from app.oauth_server.parameters import Parameters
from app.oauth_server.pkce import is_challenge
from app.oauth_server.redirect_uris import is_registered
from app.oauth_server.scopes import allowed_scopes, split
from app.web.i18n import N_, NAMES

PROMPTS = frozenset({"none", "login", "consent", "select_account"})
RESPONSE_MODES = frozenset({"query", "form_post"})
UNSUPPORTED = {
    "request": "request_not_supported",
    "request_uri": "request_uri_not_supported",
    "registration": "registration_not_supported",
    "resource": "invalid_target",
}
"""Parameters that are refused, and the error code of each."""


def redirect_uri_of(client: Client | None, parameters: Parameters, *, complete: bool = True) -> str:
    """The redirect URI of the response; the only one that is registered may be left out of a request that is
    `complete`, which has no unreadable parameter. Raises BadRedirect.
    """
    if client is None:
        raise BadRedirect(N_("The service that sent you here is not known."))
    uri = parameters.get("redirect_uri")
    if uri is None and complete and len(client.redirect_uris) == 1:
        if "openid" not in split(parameters.get("scope")):
            return client.redirect_uris[0]
        raise BadRedirect(N_("The service that sent you here did not say where to go back to."))
    if uri is None or not is_registered(uri, client.redirect_uris):
        raise BadRedirect(N_("The service that sent you here named an address that is not registered for it."))
    return uri


def checked(client: Client, redirect_uri: str, parameters: Parameters) -> AuthorizationRequest:
    """The validated request. Raises OAuthError, which may be sent to the redirect URI."""
    for name, code in UNSUPPORTED.items():
        if name in parameters:
            raise OAuthError(code, f"{name} is not supported")
    if "response_type" not in parameters:
        raise OAuthError("invalid_request", "response_type is missing")
    if parameters["response_type"] != "code":
        raise OAuthError("unsupported_response_type", "response_type must be code")
    if parameters.get("response_mode", "query") not in RESPONSE_MODES:
        raise OAuthError("invalid_request", "response_mode must be query or form_post")
    scopes, asked = allowed_scopes(client, parameters.get("scope"))
    return AuthorizationRequest(
        client=client.id,
        redirect_uri=redirect_uri,
        scopes=scopes,
        asked=asked,
        response_mode=parameters.get("response_mode", "query"),
        state=parameters.get("state"),
        nonce=parameters.get("nonce"),
        challenge=_challenge(client, parameters),
        prompt=_prompt(parameters),
        max_age=_max_age(parameters),
        login_hint=parameters.get("login_hint"),
        locale=_locale(parameters),
    )


def _challenge(client: Client, parameters: Parameters) -> str | None:
    challenge, method = parameters.get("code_challenge"), parameters.get("code_challenge_method")
    if challenge is None:
        if method is not None:
            raise OAuthError("invalid_request", "code_challenge is missing")
        if client.pkce or client.public:
            raise OAuthError(
                "invalid_request",
                "code_challenge is missing: switch PKCE with S256 on in the client, or set pkce = false for it here",
            )
        return None
    if method != "S256":
        raise OAuthError("invalid_request", "code_challenge_method must be S256")
    if not is_challenge(challenge):
        raise OAuthError("invalid_request", "code_challenge must be a SHA-256 in base64url: 43 characters")
    return challenge


def _prompt(parameters: Parameters) -> tuple[str, ...]:
    prompt = split(parameters.get("prompt"))
    if not set(prompt) <= PROMPTS:
        raise OAuthError("invalid_request", "prompt must be some of: none login consent select_account")
    if "none" in prompt and len(prompt) > 1:
        raise OAuthError("invalid_request", "prompt=none stands alone")
    return prompt


def _locale(parameters: Parameters) -> str | None:
    languages = (tag.partition("-")[0].lower() for tag in split(parameters.get("ui_locales")))
    return next((language for language in languages if language in NAMES), None)


def _max_age(parameters: Parameters) -> int | None:
    text = parameters.get("max_age")
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 10:
        raise OAuthError("invalid_request", "max_age must be a number of seconds")
    return int(text)
