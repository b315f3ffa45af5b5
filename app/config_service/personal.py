"""Personal data in namespaces: the roles of users."""

from dataclasses import replace
from typing import Any

from app.accounts.lifespan import PersonalData
from app.config_service.editing import Editor
from app.config_service.models import Namespace
from app.config_service.store import ConfigStore


def personal_roles(store: ConfigStore, editor: Editor) -> PersonalData:
    """A removed user loses every role. The history keeps the user's changes, with the id."""

    async def with_a_role(user_id: str) -> list[Namespace]:
        found = [await store.read(name) for name in await store.names()]
        return [namespace for namespace in found if namespace is not None and user_id in namespace.access]

    async def export(user_id: str) -> list[dict[str, Any]]:
        return [{"namespace": each.name, **each.access[user_id].dump()} for each in await with_a_role(user_id)]

    async def forget(user_id: str) -> None:
        def without(namespace: Namespace) -> Namespace:
            return replace(namespace, access={id_: it for id_, it in namespace.access.items() if id_ != user_id})

        for namespace in await with_a_role(user_id):
            await editor.update(namespace.name, without)

    return PersonalData(export, forget)
