"""What handlers that know users find in `request.state`."""

from app.accounts.audit import Audit
from app.accounts.invitations import Invitations
from app.accounts.limits import Limits
from app.accounts.passwords import Passwords
from app.accounts.people import People
from app.accounts.store import AccountStore
from app.accounts.tokens import ApiTokens
from app.web.sessions import Sessions
from app.web.state import WebState


class AccountState(WebState):
    accounts: AccountStore
    audit: Audit
    invitations: Invitations
    limits: Limits
    passwords: Passwords
    people: People
    sessions: Sessions
    tokens: ApiTokens
