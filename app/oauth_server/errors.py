"""The errors of OAuth's endpoints, with the codes of the specifications."""

BEARER = 'Bearer realm="tallygate"'


class OAuthError(Exception):
    """`code` is the specification's, `description` is for the client's developer: ASCII, no secret, nothing quoted."""

    def __init__(self, code: str, description: str, status: int = 400) -> None:
        super().__init__(f"{code}: {description}")
        self.code = code
        self.description = description
        self.status = status
        self.challenge: str | None = None
        """The value of `WWW-Authenticate`."""


class InvalidClient(OAuthError):
    """Client authentication failed."""

    def __init__(self, description: str) -> None:
        super().__init__("invalid_client", description, 401)
        self.challenge = 'Basic realm="tallygate"'


class InvalidToken(OAuthError):
    """The bearer token is refused (RFC 6750, 3.1)."""

    def __init__(self, description: str, code: str = "invalid_token", status: int = 401) -> None:
        super().__init__(code, description, status)
        self.challenge = f'{BEARER}, error="{code}"'


class NoToken(Exception):
    """There is no bearer token: the response is a challenge without an error code (RFC 6750, 3)."""


class BadRedirect(Exception):
    """The client or redirect URI is invalid, so no redirect may happen; `reason` is a sentence for the user."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
