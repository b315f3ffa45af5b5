"""A provider whose table is wrong is named, and the others work."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.cli.main import main
from app.oauth_client.provider_config import configured
from app.settings import Settings
from tests.fakes.openid import FakeOpenId
from tests.helpers.clock import Clock
from tests.helpers.oauth_flow import OAuthFlow
from tests.helpers.service import running
from tests.oauth_client.conftest import corp

OIDC = {"type": "oidc", "issuer": "https://a.example", "client_id": "x"}
GITHUB = {"type": "github", "client_id": "x"}
WECHAT = {"type": "wechat", "appid": "x", "secret": "hush"}
MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "no type": ({}, "oauth.it.type"),
    "another type": ({"type": "saml"}, "oauth.it.type: must be one of apple, dingtalk, discord"),
    "a type that is a list": ({"type": ["oidc"]}, "oauth.it.type"),
    "no issuer": ({"type": "oidc", "client_id": "x"}, "oauth.it.issuer"),
    "an issuer that is no address": (OIDC | {"issuer": "a.example"}, "oauth.it.issuer"),
    "an empty client_id": (OIDC | {"client_id": ""}, "oauth.it.client_id"),
    "a misspelt key": (OIDC | {"client_secrets": "hush"}, "oauth.it.client_secrets"),
    "scopes without openid": (OIDC | {"scopes": "profile"}, "oauth.it.scopes: must contain openid"),
    "an odd rule": (OIDC | {"allow": "all"}, "oauth.it.allow"),
    "a misspelt rule": (OIDC | {"allow": {"domain": ["x"]}}, "oauth.it.allow.domain"),
    "an address for a domain": (
        OIDC | {"allow": {"domains": ["@a.example"]}},
        "oauth.it.allow.domains: a domain has no @",
    ),
    "a pattern for a domain": (OIDC | {"allow": {"domains": "b.example, *.a.example"}}, "oauth.it.allow.domains"),
    "an empty secret": (OIDC | {"client_secret": ""}, "oauth.it.client_secret"),
    "no secret for GitHub": (GITHUB, "oauth.it.client_secret"),
    "an empty secret for GitHub": (GITHUB | {"client_secret": ""}, "oauth.it.client_secret"),
    "no appid for WeChat": ({"type": "wechat", "secret": "hush"}, "oauth.it.appid"),
    "an empty secret for WeChat": (WECHAT | {"secret": ""}, "oauth.it.secret"),
    "no secret inside WeChat": (WECHAT | {"inside_appid": "wx"}, "oauth.it: inside_appid and inside_secret belong"),
    "no appid inside WeChat": (WECHAT | {"inside_secret": "hush"}, "oauth.it: inside_appid and inside_secret belong"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_bad_provider_table_is_refused(mistake: str) -> None:
    table, said = MISTAKES[mistake]
    good, (line,) = configured(Settings(oauth={"it": table, "good": OIDC}))
    assert list(good) == ["good"]
    assert said in line
    assert "hush" not in line
    assert "\n" not in line


@pytest.mark.parametrize("name", ["password", "unlink", "setup"])
def test_reserved_provider_names_are_refused(name: str) -> None:
    assert configured(Settings(oauth={name: OIDC})) == ({}, [f"oauth.{name}: this name is taken, choose another"])


def test_plain_http_is_refused_in_production() -> None:
    tables = {"it": OIDC | {"issuer": "http://127.0.0.1:9000"}}
    assert not configured(Settings(oauth=tables))[1]
    assert configured(Settings(oauth=tables, environment="production", secret_key="x" * 32))[1]
    assert configured(Settings(oauth=tables, oauth_private_addresses=False))[1]


def test_check_config_lists_all_mistakes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "server.toml").write_text('[oauth.a]\ntype = "saml"\n[oauth.b]\ntype = "oidc"\n')
    assert main(["check-config", "--config", "server.toml"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert [line.split(":")[1].strip() for line in said] == ["oauth.a.type", "oauth.b.issuer"]


async def test_provider_that_fails_does_not_disturb_others(
    make_settings: Callable[..., Settings], provider: FakeOpenId, clock: Clock, capfd: pytest.CaptureFixture[str]
) -> None:
    tables = {"broken": {"type": "oidc"}, "corp": corp(provider)}
    async with running(make_settings(oauth=tables), clock) as service:
        assert "oauth.broken.issuer" in capfd.readouterr().err
        assert (await service.client.get("/oauth/broken/start")).status_code == 404
        page = await service.client.get("/sign-in", headers={"Accept": "text/html"})
        assert "/oauth/broken/" not in page.text
        assert (await OAuthFlow(service.client).sign_in()).status_code == 303


async def test_two_hundred_providers_start_in_time(
    make_settings: Callable[..., Settings], provider: FakeOpenId, clock: Clock
) -> None:
    tables = {f"corp{number}": corp(provider) for number in range(200)}
    async with running(make_settings(oauth=tables), clock) as service:
        assert (await OAuthFlow(service.client).sign_in("corp199")).status_code == 303
        page = await service.client.get("/sign-in?again=1", headers={"Accept": "text/html"})
        assert len(set(re.findall(r"/oauth/(\w+)/start", page.text))) == 200
