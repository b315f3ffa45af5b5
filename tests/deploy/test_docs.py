"""docs/develop.md and docs/deploy.md name only what exists."""

import re

import pytest

from tests.deploy.files import OVERLAYS, VARIABLE, is_setting, jsonc, make_targets, text, yaml_of
from tests.helpers.service import ROOT

PAGES = ("docs/develop.md", "docs/deploy.md")
PATH = re.compile(r"\b((?:k8s|deploy|docs|tests|app|requirements)/[\w./-]*[\w/])")
MADE = re.compile(r"/secrets(/|$)")
"""Files that the reader makes."""


def code(page: str) -> list[str]:
    """What is set as code: commands, and names in the text."""
    content = text(page)
    return re.findall(r"^    .*$", content, flags=re.MULTILINE) + re.findall(r"`([^`]+)`", content)


def test_every_command_of_make_exists() -> None:
    named = {name for piece in code("docs/develop.md") for name in re.findall(r"\bmake ([a-z-]+)", piece)}
    assert named
    assert named <= make_targets()


@pytest.mark.parametrize("page", PAGES)
def test_every_file_exists(page: str) -> None:
    paths = {path for piece in code(page) for path in PATH.findall(piece) if not MADE.search(path)}
    assert paths
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_links_in_documents_exist(page: str) -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text(page)) if "://" not in link]
    assert [link for link in links if not (ROOT / page).parent.joinpath(link).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_setting_exists(page: str) -> None:
    assert [name for name in VARIABLE.findall(text(page)) if not is_setting(name)] == []


def test_every_profile_service_and_variable_of_compose_exists() -> None:
    both = text("docs/develop.md") + text("docs/deploy.md")
    compose = yaml_of("compose.yaml")
    profiles = {profile for service in compose["services"].values() for profile in service.get("profiles", [])}
    assert set(re.findall(r"--profile ([a-z]+)", both)) == profiles
    table = text("docs/deploy.md").partition("Variables of Compose's own")[2].partition("\n\nThe first")[0]
    for name, default in re.findall(r"^\| `(\w+)` \| `?([^|`]+?)`? \|", table, flags=re.MULTILINE):
        assert f"${{{name}:-{default}}}" in text("compose.yaml")


def test_every_overlay_is_described() -> None:
    described = re.findall(r"^\| `([a-z-]+)` \|", text("docs/deploy.md").partition("## Kubernetes")[2], re.MULTILINE)
    assert tuple(described) == OVERLAYS


def test_every_way_to_launch_is_described() -> None:
    table = text("docs/develop.md").partition("| launch |")[2].partition("\n\n")[0]
    described = re.findall(r"^\| ([A-Z][^|]+?) \|", table, re.MULTILINE)
    assert described == [entry["name"] for entry in jsonc(".vscode/launch.json")["configurations"]]
