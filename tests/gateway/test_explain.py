"""Which rule decides: on the command line, and as a page of the administration."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from app.cli.main import main
from tests.gateway.conftest import RULES, WIKI, Browser
from tests.helpers.cast import Cast, signed_in
from tests.helpers.service import Running
from tests.helpers.valkey import Valkey


def explained(capsys: pytest.CaptureFixture[str], server: Valkey, *arguments: str, code: int = 0) -> str:
    capsys.readouterr()
    assert main(["explain", *arguments, "--rules", json.dumps(RULES), "--redis-url", server.url]) == code
    return "".join(capsys.readouterr())


def test_deciding_rule_and_its_reason_are_named(capsys: pytest.CaptureFixture[str], server: Valkey) -> None:
    wiki = f"https://{WIKI}"
    assert explained(capsys, server, f"{wiki}/public/x").startswith("allowed: everybody may\nrule 1 decides")
    assert "sent to sign in: no user is signed in" in explained(capsys, server, f"{wiki}/bob")
    assert "is in one of the rule's networks" in explained(capsys, server, f"{wiki}/office", "--from", "198.51.100.7")
    assert "refused" in explained(capsys, server, f"{wiki}/office", "--from", "203.0.113.1")
    assert "not for this request: rule 1, 2, 3, 4" in explained(capsys, server, f"{wiki}/x", "--method", "POST")
    assert "no rule names the host" in explained(capsys, server, "https://other.example.com/")
    odd = explained(capsys, server, f"{wiki}/public/..%2fbob")
    assert "rule 2 decides, for the path /bob" in odd


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "name the address"),
        (["wiki.example.com"], "absolute"),
        (["https://wiki.example.com/%00"], "control character"),
        (["https://wiki.example.com/", "--from", "here"], "--from"),
        (["https://wiki.example.com/", "--user", "nobody"], "--user: nobody"),
        (["https://wiki.example.com/", "--method", "G T"], "Method"),
    ],
)
def test_explain_reports_a_mistake_in_one_line(
    capsys: pytest.CaptureFixture[str], server: Valkey, arguments: list[str], named: str
) -> None:
    said = explained(capsys, server, *arguments, code=2)
    assert named in said
    assert said.count("\n") == 1


async def test_administrators_see_rules_counts_and_explanations(browser: Browser, service: Running, cast: Cast) -> None:
    await browser.verify("/public/x")
    await browser.verify("/bob")
    alice = await signed_in(service, "alice")
    page = await alice.get("/admin/gateway")
    assert page.status_code == 200
    assert f"{WIKI}" in page.text
    bob = {"url": f"https://{WIKI}/bob", "user": "bob"}
    found = await alice.get("/admin/gateway", params=bob, headers={"Accept-Language": "zh"})
    assert 'href="#rule-2"' in found.text
    assert "the user" not in found.text, "translated"
    assert "the user bob is named" in (await alice.get("/admin/gateway", params=bob)).text
    for wrong in ({"url": "wiki"}, bob | {"user": "nobody"}, bob | {"from": "x"}):
        assert (await alice.get("/admin/gateway", params=wrong)).status_code == 400
    await signed_in(service, "bob")
    (session,) = await service.state["sessions"].of_user((await service.state["accounts"].by_name("bob")).id)
    from_provider = replace(session, groups=("ops",), recheck_at=session.created + 3600)
    await service.state["sessions"]._store.save_recheck(from_provider)
    assert "Groups of the user: ops" in (await alice.get("/admin/gateway", params=bob)).text
    charlie = await signed_in(service, "charlie")
    assert (await charlie.get("/admin/gateway")).status_code == 403


def test_check_config_names_every_mistake_of_rules(
    capsys: pytest.CaptureFixture[str], server: Valkey, tmp_path: Path
) -> None:
    rules = [
        {"hosts": [WIKI], "allow": {"groups": ["staff"]}},
        {"hosts": [WIKI], "paths": ["/x"], "allow": "everybody"},
        {"hosts": [WIKI], "allow": "everybody", "path": "/"},
    ]
    arguments = ["--public-url", "https://sign-in.example.org", "--redis-url", server.url]
    assert main(["check-config", "--rules", json.dumps(rules), *arguments]) == 2
    said = capsys.readouterr().err
    assert "rule 2 can never decide: rule 1" in said
    assert "rule 3: path: there is no such key" in said
    assert "allow.groups: staff: there is no such group" in said
    provider = {"github": {"type": "github", "client_id": "a", "client_secret": "b"}}
    arguments += ["--oauth", json.dumps(provider)]
    assert main(["check-config", "--rules", json.dumps(rules[:1]), *arguments]) == 0
    assert "staff: there is no such group, unless a provider names it" in capsys.readouterr().out
    arguments[arguments.index(server.url)] = f"unix://{tmp_path}/none"
    assert main(["check-config", "--rules", json.dumps(rules[:1]), *arguments]) == 0
    assert "Redis does not answer" in capsys.readouterr().err
