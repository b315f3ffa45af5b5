"""The caller and its right in a namespace. Both are cached, so that reads go on while Redis is
away: nothing can be revoked then either.
"""

import hashlib
from dataclasses import dataclass, field

from starlette.types import Scope

from app.accounts.api_tokens.tokens import ApiTokens
from app.accounts.services.services import PREFIX as SERVICE_PREFIX
from app.accounts.services.services import ConfigGrant, Service, Services
from app.accounts.sign_in.current_user import CurrentUser, api_secret, raise_unless_allowed
from app.config_service.models import OWN, Namespace, Right, Role
from app.store.client import StoreUnavailable
from app.web.errors import Forbidden, NotFound, SignInRequired
from app.web.headers import headers_of
from app.web.i18n import N_

MAX_CACHED_CREDENTIALS = 10_000
FULL_RIGHT = Right(Role.MANAGE, secrets=True)
NO_RIGHT = Right()


@dataclass(frozen=True, slots=True)
class Principal:
    """A user or a service. `id` is the `by` of versions; `grants` are those of a service, by namespace."""

    id: str
    name: str
    is_admin: bool = False
    grants: dict[str, Right] = field(default_factory=dict)

    def right(self, namespace: Namespace) -> Right:
        """Tallygate's own namespace is for administrators only."""
        if self.is_admin:
            return FULL_RIGHT
        if namespace.name == OWN:
            return NO_RIGHT
        return namespace.access.get(self.id) or self.grants.get(namespace.name) or NO_RIGHT


class Principals:
    def __init__(self, current_user: CurrentUser, tokens: ApiTokens, services: Services) -> None:
        self._services = services
        self._current_user = current_user
        self._tokens = tokens
        self._cached: dict[bytes, Principal] = {}

    def cached(self, scope: Scope) -> Principal | None:
        """The principal, if Redis is not needed to find it."""
        headers = headers_of(scope)
        authorization = headers.get(b"authorization")
        if authorization is None:
            known = self._current_user.cached(scope, headers.get(b"cookie", b""))
            user = known[0] if known is not None else None
        else:
            secret = api_secret(scope)
            if secret and (service := self._services.cached(secret)) is not None:
                return _of_service(service)
            token = self._tokens.cached_use(secret) if secret else None
            if token is None or token.scopes:
                return None
            user = self._current_user.cached_by_id(token.user_id)
        return Principal(user.id, user.name, user.is_admin) if user is not None else None

    async def get(self, scope: Scope) -> Principal:
        """Raises SignInRequired, and StoreUnavailable if Redis is away and the credentials are not cached."""
        name = _fingerprint(scope)
        try:
            principal = await self._found(scope)
        except StoreUnavailable:
            cached = self._cached.get(name)
            if cached is None:
                raise
            return cached
        if principal is None:
            self._cached.pop(name, None)
            raise SignInRequired
        if len(self._cached) >= MAX_CACHED_CREDENTIALS:
            self._cached.clear()
        self._cached[name] = principal
        return principal

    async def _found(self, scope: Scope) -> Principal | None:
        secret = api_secret(scope)
        if secret is None:
            user = await self._current_user.get(scope)
        elif secret.startswith(SERVICE_PREFIX):
            service = await self._services.authenticate(secret)
            return _of_service(service) if service is not None else None
        else:
            checked = await self._tokens.use(secret, scope["client"][0] if scope["client"] else "")
            if checked is None:
                return None
            raise_unless_allowed(scope, checked)
            user = await self._current_user.by_id(checked.user_id)
        return Principal(user.id, user.name, user.is_admin) if user is not None else None


def required(principal: Principal, namespace: Namespace | None, need: Role) -> Right:
    """Raises NotFound if the principal may not see the namespace, Forbidden if the role is not sufficient."""
    right = principal.right(namespace) if namespace is not None else NO_RIGHT
    if right.role is Role.NONE:
        raise NotFound
    if right.role < need:
        raise Forbidden(N_("Your role in this namespace does not allow that."))
    return right


def right_of(grant: str | ConfigGrant) -> Right:
    """Of `"read"` or `{"role": "read", "secrets": true}`."""
    return Right.of(grant) if isinstance(grant, str) else Right.of(grant.role, grant.secrets)


def _of_service(service: Service) -> Principal:
    grants = {name: right_of(grant) for name, grant in service.grants.config.items()}
    return Principal(f"service:{service.name}", service.name, grants=grants)


def _fingerprint(scope: Scope) -> bytes:
    headers = headers_of(scope)
    return hashlib.sha256(headers.get(b"authorization", b"") + b"\0" + headers.get(b"cookie", b"")).digest()
