"""Errors of an OAuth sign-in: a sentence for the reader, and the exact reason for the log.

OAuthProblem              a Problem: a page, or JSON, in the reader's language
├── BadCallback           400, the callback belongs to no request of this browser
├── Denied                403, the user or the provider refused
├── Revoked               403, the provider no longer confirms the session
├── SignUpNotAllowed      403, the provider's rule does not allow an account
├── ProviderUnavailable   502, no response, or one that says so
└── BadProviderResponse   502, the response cannot be verified
    └── StaleSignIn       502, the provider does not authenticate the user again
"""

from app.web.errors import Problem
from app.web.i18n import N_


class OAuthProblem(Problem):
    """`why` is for the log only; `said` is the provider's own text, for the log and the reader. Neither holds a code, a
    token or a secret.
    """

    title = N_("Not signed in")

    def __init__(self, why: str, detail: str | None = None, *, said: str = "") -> None:
        super().__init__(detail, **({"provider_says": said} if said else {}))
        self.why = f"{why}: {said}" if said else why
        self.said = said


class BadCallback(OAuthProblem):
    status = 400
    detail = N_("This sign-in has expired or began in another browser. Please try again.")


class Denied(OAuthProblem):
    status = 403
    detail = N_("The sign-in was cancelled.")


class Revoked(OAuthProblem):
    """Not shown: the session ends instead."""

    status = 403


class SignUpNotAllowed(OAuthProblem):
    status = 403
    detail = N_("You have no account here yet. An invitation is needed to create one.")


class ProviderUnavailable(OAuthProblem):
    status = 502
    detail = N_("The provider does not respond. Please try again later, or sign in another way.")


class BadProviderResponse(OAuthProblem):
    status = 502
    detail = N_("The provider's answer could not be verified. Please try again, or sign in another way.")


class StaleSignIn(BadProviderResponse):
    detail = N_("The provider did not ask you to sign in again, so it cannot confirm that it is you. Use another way.")


class Misconfigured(Exception):
    """A provider's table is wrong; the text is one line that names it."""
