"""Personal data in webhooks: the users who created them."""

from dataclasses import replace
from typing import Any

from app.accounts.lifespan import PersonalData
from app.hooks.models import Webhook
from app.hooks.store import HooksStore


def personal_webhooks(store: HooksStore) -> PersonalData:
    """The webhooks of a removed user stay with the administrators."""

    async def made_by(user_id: str) -> list[Webhook]:
        return [webhook for webhook in (await store.webhooks()).values() if webhook.owner == user_id]

    async def export(user_id: str) -> list[dict[str, Any]]:
        return [
            {"id": each.id, "url": each.url, "events": each.events, "created": each.created}
            for each in await made_by(user_id)
        ]

    async def forget(user_id: str) -> None:
        for webhook in await made_by(user_id):
            await store.update(webhook.id, lambda now: replace(now, owner=""))

    return PersonalData(export, forget)
