"""The routes of accounts, in groups. `/api/session` is hot, so it stands first."""

from starlette.routing import BaseRoute

from app.accounts import api
from app.accounts.pages import account, admin, devices, setup, sign_in, sign_up, tokens

routes: list[BaseRoute] = [
    # for front ends of their own: /api/session, /api/account...
    *api.routes,
    # coming in and going out: /sign-in, /sign-out, /sign-up, /setup
    *sign_in.routes,
    *sign_up.routes,
    *setup.routes,
    # a user's own: /account, /account/devices, /account/tokens
    *account.routes,
    *devices.routes,
    *tokens.routes,
    # for administrators: /admin/users, /admin/invitations, /admin/audit
    *admin.routes,
]
