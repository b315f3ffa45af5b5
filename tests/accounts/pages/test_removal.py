"""What a removed user leaves behind: the audit log, events, and what is handed over. The export holds it all before."""

import httpx
from redis import Redis

from app.accounts.second_factors.passkeys import Passkey
from app.accounts.second_factors.totp import new_totp_secret
from app.accounts.users.identities import Identity
from app.oauth_server.models import Family
from tests.helpers.api import token_for
from tests.helpers.cast import Cast, signed_in
from tests.helpers.service import Running
from tests.helpers.valkey import Valkey

KEPT = (
    "{accounts}:audit",
    "{accounts}:reset-link",
    "{accounts}:raised",
    "{config}",
    "{hooks}",
    "oauth-server:registration",
)
"""What may name a removed user: histories, and what expires by itself and is good for nothing without its user."""


def names_of(client: Redis, text: str) -> set[str]:
    """The keys that hold the text, in their name or their value."""
    found = set()
    for key in client.scan_iter("*"):
        match client.type(key):
            case b"hash":
                value: object = client.hgetall(key)
            case b"set":
                value = client.smembers(key)
            case b"zset":
                value = client.zrange(key, 0, -1)
            case b"stream":
                value = client.xrange(key)
            case _:
                value = client.get(key)
        if text in key.decode() or text in str(value):
            found.add(key.decode())
    return found


async def owning(service: Running, cast: Cast, alice: httpx.AsyncClient) -> httpx.AsyncClient:
    """Bob, an administrator who has something of everything."""
    state, user = service.state, cast.bob.id
    bob = await signed_in(service, "bob")
    await state["accounts"].set_admin(user, True)
    await token_for(bob, name="backup")
    await bob.post("/admin/invitations", data={"days": "7", "email": "dora@example.com"})
    await bob.post("/admin/clients/registration")
    await bob.post("/api/webhooks", json={"url": "https://hooks.example/", "events": ["*"]})
    await bob.post("/sites", data={"name": "Harbour", "hosts": "harbour.example"})
    await alice.post("/config", data={"name": "shop"})
    await alice.post("/config/shop/access", data={"user": "bob", "role": "write"})
    await state["users"].set_groups(user, ("ops",))
    await state["users"].set_email(user, "bob@example.com", verified=True)
    await state["identities"].link(user, Identity("https://idp.example", "1", "corp", "Bob Lee"))
    await state["second_factors"].set_totp(user, new_totp_secret(), 1)
    await state["second_factors"].add_passkey(user, Passkey("aWQ", "laptop", "", 0, created=1.0))
    await state["oauth_server"].store.use_grant(user, "wiki", ("openid",), None)
    await state["oauth_server"].store.begin(Family("f1", user, "first-party", (), (), "", "", 1.0, created=1.0))
    await alice.post(f"/admin/users/{user}/reset-link")
    return bob


async def test_the_export_holds_everything_of_the_user(service: Running, cast: Cast, alice: httpx.AsyncClient) -> None:
    bob = await owning(service, cast, alice)
    data = (await bob.post("/account/export")).json()
    assert [passkey["name"] for passkey in data["passkeys"]] == ["laptop"]
    assert data["user"]["second_factors"] == ["passkey", "totp"]
    assert [invitation["email"] for invitation in data["invitations"]] == ["dora@example.com"]
    assert [grant["client"] for grant in data["services"]] == ["wiki"]
    assert data["roles"] == [{"namespace": "shop", "role": "write", "secrets": False}]
    assert [webhook["url"] for webhook in data["webhooks"]] == ["https://hooks.example/"]
    assert [site["name"] for site in data["sites"]] == ["Harbour"]
    assert [identity["name"] for identity in data["identities"]] == ["Bob Lee"]
    row = next(each for each in (await alice.get("/api/users")).json()["users"] if each["name"] == "bob")
    assert row["ways"] == ["password", "passkey", "totp", "corp"]
    assert "Password, Passkey, Authenticator app, corp" in (await alice.get("/admin/users")).text


async def test_nothing_of_a_removed_user_is_left_but_histories(
    service: Running, cast: Cast, alice: httpx.AsyncClient, server: Valkey
) -> None:
    bob, user = await owning(service, cast, alice), cast.bob.id
    (site,) = [each["id"] for each in (await bob.get("/api/sites")).json()["sites"]]
    answer = await alice.post(f"/admin/users/{user}/remove", data={"name": "bob"})
    assert answer.status_code == 303
    with server.client as client:
        left = {name for name in names_of(client, user) if not name.startswith(KEPT)}
    assert left == set()
    assert (await alice.get("/api/invitations")).json() == []
    assert "https://hooks.example/" in (await alice.get("/admin/webhooks")).text
    assert (await alice.get(f"/sites/{site}")).status_code == 200
    assert await service.state["users"].by_email("bob@example.com") is None
