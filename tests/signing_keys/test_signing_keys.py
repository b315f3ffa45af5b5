"""Signing with the service's keys, and their rotation."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest
from joserfc import jws, jwt
from joserfc.jwk import KeySet
from pydantic import SecretStr

from app.cli.main import main
from app.settings import Settings
from app.signing_keys import lifespan
from app.signing_keys.key_ring import DAY, PUBLISHED_AFTER, ROTATION_PERIOD, BadToken, SigningKey
from app.signing_keys.signing_keys import SigningKeys
from app.store import keys
from tests.helpers.clock import Clock
from tests.helpers.service import Running, running
from tests.helpers.valkey import Valkey
from tests.helpers.waiting import eventually


@pytest.fixture
async def service(make_settings: Callable[..., Settings], clock: Clock) -> AsyncIterator[Running]:
    async with running(make_settings(), clock) as service:
        yield service


@pytest.fixture
def signing(service: Running) -> SigningKeys:
    found = service.state["signing_keys"]
    assert isinstance(found, SigningKeys)
    return found


async def kids(signing: SigningKeys, alg: str) -> list[str]:
    return [key["kid"] for key in (await signing.jwks())["keys"] if key["alg"] == alg]


async def test_keys_are_made_once_for_all_that_ask_at_once(
    signing: SigningKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each RSA key takes a tenth of a second: a hundred at once would keep the worker from answering."""
    made: list[str] = []
    new = SigningKey.new

    def counted(alg: str, *arguments: Any) -> SigningKey:
        made.append(alg)
        return new(alg, *arguments)

    monkeypatch.setattr(SigningKey, "new", counted)
    await asyncio.gather(*(signing.sign({}) for _ in range(50)), *(signing.ring() for _ in range(50)))
    assert sorted(made) == ["ES256", "RS256"]


@pytest.mark.parametrize("alg", ["ES256", "RS256"])
async def test_tokens_verify_with_the_published_keys(signing: SigningKeys, alg: str) -> None:
    token = await signing.sign({"sub": "bob"}, alg=alg, typ="at+jwt")
    read = jwt.decode(token, KeySet.import_key_set(cast(Any, await signing.jwks())), algorithms=[alg])
    assert read.claims == {"sub": "bob"}
    assert read.header["typ"] == "at+jwt"
    assert await signing.verified(token, "at+jwt") == {"sub": "bob"}


async def test_private_keys_are_encrypted_and_unpublished(signing: SigningKeys, server: Valkey) -> None:
    assert all("d" not in key and key["use"] == "sig" for key in (await signing.jwks())["keys"])
    with server.client as client:
        values = client.hgetall(keys.SIGNING_KEYS)
    assert len(values) == 2
    assert all(b"jwk" not in value and b'"d"' not in value for value in values.values())


async def test_a_new_key_is_published_a_day_before_it_signs(signing: SigningKeys, clock: Clock) -> None:
    (first,) = await kids(signing, "ES256")
    await signing.rotate()
    following, _ = await kids(signing, "ES256")
    clock.move(DAY - 1)
    early = await signing.sign({})
    clock.move(1)
    late = await signing.sign({})
    assert _kid(early) == first
    assert _kid(late) == following


async def test_a_rotation_at_once_drops_the_key_that_waits(signing: SigningKeys, clock: Clock) -> None:
    (first,) = await kids(signing, "ES256")
    await signing.rotate()
    waiting = (await kids(signing, "ES256"))[0]
    made = await signing.rotate(at_once=True)
    assert [key.signs_from for key in made] == [clock()] * 2
    clock.move(2 * DAY)
    assert _kid(await signing.sign({})) == made[0].kid not in {first, waiting}
    assert waiting not in await kids(signing, "ES256")


async def test_old_key_stays_published_until_its_tokens_expire(signing: SigningKeys, clock: Clock) -> None:
    (first,) = await kids(signing, "RS256")
    token = await signing.sign({}, alg="RS256")
    await signing.rotate()
    clock.move(DAY + PUBLISHED_AFTER - 1)
    await signing.maintain()
    assert first in await kids(signing, "RS256")
    assert await signing.verified(token) == {}
    clock.move(1)
    assert first not in await kids(signing, "RS256")
    await signing.maintain()
    with pytest.raises(BadToken):
        await signing.verified(token)


async def test_keys_rotate_by_themselves(signing: SigningKeys, clock: Clock) -> None:
    assert len(await kids(signing, "ES256")) == 1
    await signing.maintain()
    assert len(await kids(signing, "ES256")) == 1
    clock.move(ROTATION_PERIOD - DAY)
    await signing.maintain()
    await signing.maintain()
    assert len(await kids(signing, "ES256")) == 2


async def test_first_token_waits_for_its_own_key_alone(signing: SigningKeys) -> None:
    await signing.sign({}, alg="ES256")
    ring = await signing._store.read()
    assert [key.alg for key in ring.keys] == ["ES256"]


async def test_keys_are_made_soon_after_the_start_of_a_provider(
    make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifespan, "FIRST_KEYS_AFTER", 0)
    async with running(make_settings(public_url="http://tallygate.test")) as service:
        found = service.state["signing_keys"]
        await eventually(lambda: (ring := found.cached()) and {key.alg for key in ring.keys} == {"ES256", "RS256"})


async def test_two_workers_make_one_key(make_settings: Callable[..., Settings], service: Running) -> None:
    async with running(make_settings()) as other:
        found = [worker.state["signing_keys"] for worker in (service, other)]
        first, second = await asyncio.gather(*(each.jwks() for each in found))
        assert first["keys"] == second["keys"]
        assert len(first["keys"]) == 2


async def test_a_former_secret_key_reads_and_the_new_one_writes(make_settings: Callable[..., Settings]) -> None:
    old, new = SecretStr("o" * 32), SecretStr("n" * 32)
    async with running(make_settings(secret_key=old)) as service:
        before = await service.state["signing_keys"].jwks()
    async with running(make_settings(secret_key=new, old_secret_keys=(old,))) as service:
        await service.state["signing_keys"].maintain()
    async with running(make_settings(secret_key=new)) as service:
        assert await service.state["signing_keys"].jwks() == before


async def test_keys_of_a_lost_secret_key_are_replaced(make_settings: Callable[..., Settings]) -> None:
    async with running(make_settings(secret_key=SecretStr("o" * 32))) as service:
        before = await service.state["signing_keys"].jwks()
    async with running(make_settings(secret_key=SecretStr("n" * 32))) as service:
        after = await service.state["signing_keys"].jwks()
    assert len(after["keys"]) == 2
    assert not {key["kid"] for key in before["keys"]} & {key["kid"] for key in after["keys"]}


@pytest.mark.parametrize("token", ["", "a.b.c", "x" * 20_000, "é.é.é", "e30.e30.e30"])
async def test_foreign_signature_is_refused(signing: SigningKeys, token: str) -> None:
    with pytest.raises(BadToken):
        await signing.verified(token)


async def test_a_token_of_another_type_is_refused(signing: SigningKeys) -> None:
    with pytest.raises(BadToken):
        await signing.verified(await signing.sign({}, typ="logout+jwt"))


def test_rotate_keys_prints_the_next_keys(
    server: Valkey, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TALLYGATE_REDIS_URL", server.url)
    assert main(["rotate-keys"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == ["ES256", "RS256"]
    with server.client as client:
        assert client.hlen(keys.SIGNING_KEYS) == 4


def _kid(token: str) -> str:
    return str(jws.extract_compact(token.encode()).headers()["kid"])
