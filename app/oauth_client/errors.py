"""Why a sign-in elsewhere fails: sentences for the reader, and for the log what exactly was wrong.

OAuthProblem            a Problem: a page, or JSON, in the reader's language
├── BadCallback         400, what came back does not belong to a sign-in of this browser
├── Denied              403, the person, or the provider, refused
├── Revoked             403, the provider does not vouch for the session any more
├── SignUpNotAllowed          403, the provider's rule lets nobody in like that
├── ProviderUnavailable        502, no answer, or one that says so
└── BadProviderResponse      502, an answer that cannot be believed
"""

from app.web.errors import Problem
from app.web.i18n import N_


class OAuthProblem(Problem):
    """`why` is for the log only: it may quote what a provider has sent, but never a code, a token or a secret."""

    title = N_("Not signed in")

    def __init__(self, why: str, detail: str | None = None) -> None:
        super().__init__(detail)
        self.why = why


class BadCallback(OAuthProblem):
    status = 400
    detail = N_("This sign-in is too old, or was begun in another browser. Please try again.")


class Denied(OAuthProblem):
    status = 403
    detail = N_("The sign-in was cancelled.")


class Revoked(OAuthProblem):
    """Never shown: whoever it is about is signed out."""

    status = 403


class SignUpNotAllowed(OAuthProblem):
    status = 403
    detail = N_("You have no account here yet, and making one needs an invitation.")


class ProviderUnavailable(OAuthProblem):
    status = 502
    detail = N_("The provider does not answer at this moment. Please try again later, or sign in another way.")


class BadProviderResponse(OAuthProblem):
    status = 502
    detail = N_("The provider's answer could not be verified. Please try again, or sign in another way.")


class Misconfigured(Exception):
    """A provider's table is wrong; the text is one line that names it."""
