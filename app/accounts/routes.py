"""The routes of accounts, in groups. `/api/session` is hot, so it stands first."""

from starlette.routing import BaseRoute

from app.accounts import admin_api, api, audit_api, invitations_api, services_api
from app.accounts.pages import (
    account,
    admin,
    audit_log,
    confirm,
    devices,
    invitations,
    reset,
    services,
    setup,
    shortcuts,
    sign_in,
    sign_up,
    tokens,
    user,
    users,
)

routes: list[BaseRoute] = [
    # API: /api/session, /api/account...
    *api.routes,
    # administration: /api/users, /api/groups, /api/invitations, /api/audit
    *admin_api.routes,
    *invitations_api.routes,
    *audit_api.routes,
    # services: /api/services
    *services_api.routes,
    # authentication: /sign-in, /sign-out, /sign-up, /setup
    *shortcuts.routes,
    *sign_in.routes,
    *sign_up.routes,
    *confirm.routes,
    *reset.routes,
    *setup.routes,
    # the user's account: /account, /account/devices, /account/tokens
    *account.routes,
    *devices.routes,
    *tokens.routes,
    # administration: /admin/users, /admin/invitations, /admin/audit, /admin/services
    *users.routes,
    *invitations.routes,
    *audit_log.routes,
    *admin.routes,
    *user.routes,
    *services.routes,
]
