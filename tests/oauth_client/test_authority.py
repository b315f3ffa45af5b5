"""A provider whose certificate is of an authority of one's own: refused, unless the settings name that authority."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.http_client import public_only
from app.http_client.client import SafeHttpClient, Unreachable
from app.settings import Settings
from dev.serving import served
from tests.accounts.pages.reading import alert
from tests.fakes.openid import FakeOpenId
from tests.helpers.clock import Clock
from tests.helpers.oauth_flow import OAuthFlow
from tests.helpers.service import running
from tests.oauth_client.conftest import corp


@pytest.fixture
def inside(authority: Path, clock: Clock) -> Iterator[FakeOpenId]:
    provider = FakeOpenId(now=clock)
    with served(provider.app(), ssl_certfile=authority / "cert.pem", ssl_keyfile=authority / "key.pem") as address:
        provider.issuer = address.replace("127.0.0.1", "localhost")
        yield provider


async def test_private_authority_is_trusted_by_the_setting(
    make_settings: Callable[..., Settings], inside: FakeOpenId, authority: Path, clock: Clock
) -> None:
    settings = make_settings(oauth={"corp": corp(inside)}, oauth_ca_file=authority / "ca.pem")
    async with running(settings, clock) as service:
        flow = OAuthFlow(service.client)
        assert (await flow.sign_in()).status_code == 303
        assert await flow.user() is not None


async def test_private_authority_is_refused_without_the_setting(
    make_settings: Callable[..., Settings], inside: FakeOpenId, clock: Clock, capfd: pytest.CaptureFixture[str]
) -> None:
    async with running(make_settings(oauth={"corp": corp(inside)}), clock) as service:
        answer = await service.client.get("/oauth/corp/start", headers={"Accept": "text/html"})
    assert answer.status_code == 502
    assert "does not respond" in (alert(answer) or "")
    reference = answer.headers["x-request-id"]
    assert reference in answer.text.partition("<main")[2]
    log = capfd.readouterr().err
    (line,) = [line for line in log.splitlines() if reference in line and '"why"' in line]
    assert f"GET {inside.issuer}/.well-known/openid-configuration: ConnectError: " in line
    assert "unable to get local issuer certificate" in line
    assert "Traceback" not in log
    assert not inside.asked


@pytest.mark.parametrize("private", [False, True])
async def test_certificate_of_another_host_is_refused(
    private: bool, inside: FakeOpenId, authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(public_only, "is_public", lambda _: True)
    async with SafeHttpClient(timeout=5, private=private, ca_file=authority / "ca.pem") as outside:
        assert (await outside.request("GET", f"{inside.issuer}/jwks")).status == 200
        with pytest.raises(Unreachable) as refused:
            await outside.request("GET", f"{inside.issuer.replace('localhost', '127.0.0.1')}/jwks")
    assert "certificate is not valid for '127.0.0.1'" in str(refused.value)
