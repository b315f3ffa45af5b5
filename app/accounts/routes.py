"""The routes of accounts, in groups. `/api/session` is hot, so it stands first."""

from starlette.routing import BaseRoute

from app.accounts import api
from app.accounts.administration import api as administration_api
from app.accounts.administration import audit_api
from app.accounts.invitations import api as invitations_api
from app.accounts.pages import (
    account,
    admin,
    audit_log,
    confirm,
    devices,
    forgotten,
    invitations,
    new_factor,
    own_data,
    reset,
    second_step,
    security,
    services,
    setup,
    shortcuts,
    sign_in,
    sign_up,
    tokens,
    user,
    users,
    verify_email,
)
from app.accounts.second_factors import api as second_factors_api
from app.accounts.services import api as services_api
from app.accounts.users import own_data_api

routes: list[BaseRoute] = [
    # API: /api/session, /api/account...
    *api.routes,
    # second factors: /api/session/passkey, /api/account/second-factors
    *second_factors_api.routes,
    *own_data_api.routes,
    # administration: /api/users, /api/groups, /api/invitations, /api/audit
    *administration_api.routes,
    *invitations_api.routes,
    *audit_api.routes,
    # services: /api/services
    *services_api.routes,
    # authentication: /sign-in, /sign-out, /sign-up, /setup
    *shortcuts.routes,
    *sign_in.routes,
    *second_step.routes,
    *sign_up.routes,
    *confirm.routes,
    *reset.routes,
    *forgotten.routes,
    *verify_email.routes,
    *setup.routes,
    # the user's account: /account, /account/devices, /account/tokens
    *account.routes,
    *own_data.routes,
    *devices.routes,
    # second factors: /account/security, /account/passkeys, /account/totp, /account/recovery-codes
    *security.routes,
    *new_factor.routes,
    *tokens.routes,
    # administration: /admin/users, /admin/invitations, /admin/audit, /admin/services
    *users.routes,
    *invitations.routes,
    *audit_log.routes,
    *user.routes,
    *admin.routes,
    *services.routes,
]
