"""Personal data of the OpenID provider: the services that users signed in to."""

from dataclasses import asdict
from typing import Any

from app.accounts.lifespan import PersonalData
from app.oauth_server.store import OAuthStore


def personal_grants(store: OAuthStore) -> PersonalData:
    """A removed user's grants are withdrawn, and all tokens end."""

    async def export(user_id: str) -> list[dict[str, Any]]:
        return [asdict(grant) for grant in (await store.grants(user_id)).values()]

    async def forget(user_id: str) -> None:
        families = await store.families_of(user_id)
        for client in {*await store.grants(user_id), *(family.client for family in families)}:
            await store.withdraw(user_id, client)

    return PersonalData(export, forget)
