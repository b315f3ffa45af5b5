"""The errors of OAuth's endpoints, with the codes of the specifications."""


class OAuthError(Exception):
    """`code` is the specification's, `description` is for the client's developer: ASCII, no secret, nothing quoted."""

    def __init__(self, code: str, description: str, status: int = 400) -> None:
        super().__init__(f"{code}: {description}")
        self.code = code
        self.description = description
        self.status = status
        self.challenge: str | None = None


class InvalidClient(OAuthError):
    """Client authentication failed; `challenge` is the scheme that the client used."""

    def __init__(self, description: str, challenge: str | None = None) -> None:
        super().__init__("invalid_client", description, 401)
        self.challenge = challenge


class BadRedirect(Exception):
    """The client or redirect URI is invalid, so no redirect may happen; `reason` is a sentence for the user."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
