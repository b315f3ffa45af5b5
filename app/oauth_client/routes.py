"""The routes: /oauth/..., /account/identities/..., /api/oauth..."""

from starlette.routing import BaseRoute

from app.oauth_client import api, pages

routes: list[BaseRoute] = [*api.routes, *pages.routes]
