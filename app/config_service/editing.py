"""Changes of a namespace: validated as a whole, then written as one version."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson

from app.config_service.json_schema import BadSchema, Schema, SchemaViolation
from app.config_service.models import (
    KEY,
    MAX_KEYS,
    MAX_NAMESPACE_BYTES,
    MAX_VALUE_BYTES,
    MAX_WHY,
    OWN,
    Item,
    Items,
    Namespace,
    Right,
    Version,
    difference,
    same_json,
    undone,
)
from app.config_service.preconditions import Condition, versions_of
from app.config_service.principal import Principal
from app.config_service.secret_values import CannotDecrypt, SecretValues
from app.config_service.store import ConfigStore, NamespaceExists, Stale
from app.config_service.watch import Namespaces
from app.events.catalogue import ConfigChanged
from app.events.event import new_record
from app.web.errors import (
    BadRequest,
    Conflict,
    NotFound,
    PreconditionFailed,
    PreconditionNeeded,
    Problem,
    Unprocessable,
)
from app.web.i18n import N_

ATTEMPTS = 20
"""Attempts of a change without If-Match while other writes come first."""
Values = dict[str, Any]
Edit = Callable[[Values], Values]
"""Returns new values for the present ones, which include decrypted secrets."""
Check = Callable[[Values, Values], None]


class Editor:
    def __init__(
        self, store: ConfigStore, namespaces: Namespaces, secret_values: SecretValues, clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._namespaces = namespaces
        self._secret_values = secret_values
        self._clock = clock
        self._schemas: dict[str, tuple[bytes, Schema]] = {}
        self.checks: dict[str, Check] = {}
        """Validators by namespace; each gets the values before and after a change, and raises Problem."""

    async def create(self, name: str, schema: Any, require_if_match: bool, by: Principal) -> Namespace:
        """Raises NamespaceExists, TooManyNamespaces, BadRequest."""
        if name == OWN:
            raise NamespaceExists
        if schema is not None:
            self.checked_schema(schema)
        access = {} if by.is_admin else {by.id: Right.of("manage")}
        namespace = Namespace(name, 1, 1, {}, schema, require_if_match, access)
        version = Version(1, by.id, self._clock(), "", ())
        await self._store.write(namespace, replaces=0, version=version)
        self._namespaces.keep(namespace)
        return namespace

    async def change(
        self,
        name: str,
        edit: Edit,
        by: Principal,
        why: str,
        condition: Condition,
        secrets: frozenset[str] = frozenset(),
    ) -> tuple[Namespace, list[str]]:
        """The namespace after the change, and the keys that changed. `secrets` become secret.

        Raises BadRequest, NotFound, PreconditionFailed, PreconditionNeeded, Unprocessable, StoreUnavailable.
        """
        check_why(why)
        for _ in range(ATTEMPTS):
            now = await self._latest(name)
            await self._require(now, condition)
            before = self._plain(now.items)
            items = self._items(now, before, edit(dict(before)), secrets | now.secret_keys)
            changes = difference(now.items, items)
            if not changes:
                return now, []
            self._check(now, items)
            if name in self.checks:
                self.checks[name](before, self._plain(items))
            changed = [change.key for change in changes]
            secret_keys = now.secret_keys | {key for key, item in items.items() if item.secret}
            if len(secret_keys) > MAX_KEYS:
                raise Unprocessable(
                    f"a namespace has at most {MAX_KEYS} keys that are or were secret", rule="maxSecrets"
                )
            new = replace(now, version=now.version + 1, revision=now.revision + 1, items=items, secret_keys=secret_keys)
            version = Version(new.version, by.id, self._clock(), why, changes)
            event = ConfigChanged(namespace=name, version=new.version, keys=changed, by=by.id, why=why)
            try:
                await self._store.write(
                    new, replaces=now.revision, version=version, record=new_record(event, self._clock)
                )
            except (Stale, NamespaceExists):
                continue
            self._namespaces.keep(new)
            return new, changed
        raise PreconditionFailed

    async def rollback(
        self, name: str, to: int, by: Principal, why: str, condition: Condition
    ) -> tuple[Namespace, list[str]]:
        """Restores the values of a version, as a new version. Raises as `change` does."""
        old = await self.at(await self._latest(name), to)
        plain = self._plain(old)
        hidden = frozenset(key for key, item in old.items() if item.secret)
        return await self.change(name, lambda _: dict(plain), by, why, condition, hidden)

    async def update(
        self, name: str, make: Callable[[Namespace], Namespace], condition: Condition | None = None
    ) -> Namespace:
        """Changes the schema or the access; without a condition whatever the namespace demands.

        Raises as `change` does, and Conflict.
        """
        if name == OWN:
            raise Conflict(N_("The schema and the roles of Tallygate's own namespace are fixed."))
        for _ in range(ATTEMPTS):
            now = await self._latest(name)
            if condition is not None:
                await self._require(now, condition)
            new = replace(make(now), revision=now.revision + 1)
            try:
                await self._store.write(new, replaces=now.revision)
            except Stale:
                continue
            self._namespaces.keep(new)
            return new
        raise PreconditionFailed

    async def reencrypt(self) -> None:
        """The secret values of all namespaces; what former versions hold stays as it was written."""
        for name in await self._store.names():
            while (now := await self._store.read(name)) is not None:
                items = {key: self._reencrypted(item) for key, item in now.items.items()}
                try:
                    if items != now.items:
                        await self._store.write(
                            replace(now, items=items, revision=now.revision + 1), replaces=now.revision
                        )
                    break
                except Stale:
                    continue

    def _reencrypted(self, item: Item) -> Item:
        renewed = self._secret_values.renewed(item.value) if item.secret else None
        return Item(renewed, secret=True) if renewed is not None else item

    def with_schema(self, namespace: Namespace, document: Any) -> Namespace:
        """Raises BadRequest for a bad schema, Unprocessable if present values do not match it."""
        new = replace(namespace, schema=document)
        if document is not None:
            self.checked_schema(document)
        if namespace.items:
            self._check(new, namespace.items)
        return new

    def checked_schema(self, document: Any) -> Schema:
        try:
            return Schema(document)
        except BadSchema as error:
            raise BadRequest(f"schema: {error}", field="schema") from None

    async def at(self, namespace: Namespace, version: int) -> Items:
        """The items of a version. Raises NotFound for one that is not kept."""
        if not 1 <= version <= namespace.version:
            raise NotFound(N_("There is no such version."))
        newer = await self._store.versions_after(namespace.name, version)
        if len(newer) < namespace.version - version:
            raise NotFound(N_("This version is no longer kept."))
        items: Items = namespace.items
        for each in newer:
            if each.version <= namespace.version:
                items = undone(items, each.changes)
        return {key: self._hidden(item) if key in namespace.secret_keys else item for key, item in items.items()}

    def plain(self, items: Items, *, secrets: bool) -> Values:
        return self._plain({key: item for key, item in items.items() if secrets or not item.secret})

    def _hidden(self, item: Item) -> Item:
        return item if item.secret else Item(self._secret_values.encrypt(item.value), secret=True)

    def value(self, item: Item) -> Any:
        """Raises Problem for a secret that no key decrypts."""
        try:
            return self._secret_values.decrypt(item.value) if item.secret else item.value
        except CannotDecrypt:
            raise Problem(N_("A secret value cannot be decrypted: its key is not in old_secret_keys.")) from None

    def is_readable(self, item: Item | None) -> bool:
        return item is None or not item.secret or self._secret_values.can_decrypt(item.value)

    async def _latest(self, name: str) -> Namespace:
        snapshot = await self._namespaces.read(name)
        if snapshot is None:
            raise NotFound
        return snapshot.namespace

    async def _require(self, now: Namespace, condition: Condition) -> None:
        if condition.is_missing(now):
            raise PreconditionNeeded(version=now.version)
        if not condition.holds(now):
            raise await self._overtaken(now, condition.if_match or "")

    async def _overtaken(self, now: Namespace, header: str) -> Problem:
        seen = max((version for version in versions_of(header) if version < now.version), default=None)
        newer = await self._store.versions_after(now.name, seen) if seen is not None else []
        changed = sorted({change.key for version in newer for change in version.changes})
        return PreconditionFailed(version=now.version, changed=changed)

    def _plain(self, items: Items) -> Values:
        return {key: self.value(item) for key, item in items.items()}

    def _items(self, now: Namespace, before: Values, after: Values, secrets: frozenset[str]) -> dict[str, Item]:
        """The new items. An unchanged secret keeps its encrypted text."""
        items = {}
        for key, value in after.items():
            was = now.items.get(key)
            if was is not None and (was.secret or key not in secrets) and same_json(before[key], value):
                items[key] = was
            elif key in secrets:
                check_item(key, value)
                items[key] = Item(self._secret_values.encrypt(value), secret=True)
            else:
                check_item(key, value)
                items[key] = Item(value)
        return items

    def _check(self, namespace: Namespace, items: Items) -> None:
        if len(items) > MAX_KEYS:
            raise Unprocessable(f"a namespace has at most {MAX_KEYS} keys", rule="maxProperties")
        values = self._plain(items)
        if len(orjson.dumps(values)) > MAX_NAMESPACE_BYTES:
            raise Unprocessable(f"a namespace has at most {MAX_NAMESPACE_BYTES} bytes", rule="maxBytes")
        if namespace.schema is not None:
            try:
                self._schema(namespace).check(values)
            except SchemaViolation as error:
                raise Unprocessable(str(error), key=error.key, rule=error.rule, field=error.key) from None

    def _schema(self, namespace: Namespace) -> Schema:
        text = orjson.dumps(namespace.schema)
        known = self._schemas.get(namespace.name)
        if known is None or known[0] != text:
            known = self._schemas[namespace.name] = (text, self.checked_schema(namespace.schema))
        return known[1]


def check_item(key: str, value: Any) -> None:
    """Raises BadRequest for a key or a value that no namespace allows."""
    if not KEY.fullmatch(key):
        raise BadRequest(
            f"{key[:64]}: a key has 1 to 128 letters, digits, _, - and ., and begins with no - or .", field="key"
        )
    if len(orjson.dumps(value)) > MAX_VALUE_BYTES:
        raise BadRequest(f"{key}: is larger than {MAX_VALUE_BYTES} bytes", field=key)


def check_why(why: str) -> None:
    if len(why) > MAX_WHY:
        raise BadRequest(f"why: must be at most {MAX_WHY} characters long", field="why")
