"""The rules of the house that no tool checks."""

import ast
import re
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from starlette.routing import Mount, Route

from app.routes import all_routes
from app.settings import PREFIX, Settings
from tests.helpers.service import ROOT

MAX_FILE_LINES, MAX_FUNCTION_LINES = 300, 40
REGISTRIES = r"pypi\.org|pythonhosted\.org|files\.python|registry\.npmjs|index-url|extra-index|find-links|trusted-host"
MACHINE = r"/(home|Users)/(?!dev/)[a-z]+/|\.pyenv/"


def tracked(*patterns: str) -> list[Path]:
    """The files of the repository, by git's patterns; those that an editor has just made, too."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in sorted(set(listed.splitlines())) if (ROOT / name).is_file()]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def text_files() -> Iterator[tuple[str, str]]:
    for path in tracked():
        try:
            yield name_of(path), path.read_text("utf-8")
        except UnicodeDecodeError:  # a picture, a compiled catalog
            continue


def functions() -> Iterator[tuple[str, int]]:
    """(file:name, lines without its docstring) of every function of the application."""
    for path in tracked("app/*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
                yield f"{name_of(path)}:{node.name}", (node.end_lineno or 0) - first.lineno + 1


def test_no_file_is_too_long_to_be_read() -> None:
    sizes = {name: text.count("\n") for name, text in text_files() if name.endswith((".py", ".js", ".html", ".css"))}
    assert {name: size for name, size in sizes.items() if size >= MAX_FILE_LINES} == {}


@pytest.mark.slow
def test_no_function_is_too_long_to_be_understood() -> None:
    sizes = dict(functions())
    assert len(sizes) > 100
    assert {name for name, size in sizes.items() if size > MAX_FUNCTION_LINES} == set()


@pytest.mark.slow
def test_imports_stand_at_the_top() -> None:
    for path in tracked("app/*.py", "dev/*.py", "tests/*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                inner = [child for child in ast.walk(node) if isinstance(child, (ast.Import, ast.ImportFrom))]
                assert inner == [], f"{name_of(path)}:{node.name}"


def test_every_setting_says_what_it_is_for() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name
        assert re.fullmatch("[a-z][a-z0-9_]*", name)


def test_every_setting_is_in_the_manual() -> None:
    manual = (ROOT / "docs" / "settings.md").read_text("utf-8")
    for name in Settings.model_fields:
        assert f"| `{name}`<br>`{PREFIX}{name.upper()}` |" in manual


def test_no_file_names_this_machine_or_a_package_registry() -> None:
    found = [
        (name, match.group())
        for name, text in text_files()
        if name != "tests/test_conventions.py"
        for match in re.finditer(f"{REGISTRIES}|{MACHINE}", text)
        if "no-emit-index-url" not in text[match.start() - 20 : match.end()]
    ]
    assert found == []


@pytest.mark.parametrize("file", sorted((ROOT / "requirements").glob("*.txt")), ids=lambda path: path.name)
def test_every_requirement_is_locked_by_hashes(file: Path) -> None:
    lines = [line for line in file.read_text("utf-8").splitlines() if line and not line.lstrip().startswith("#")]
    pins = [line for line in lines if not line.startswith(" ")]
    assert len(pins) > 10
    assert all(re.match(r"[a-z0-9][a-z0-9._-]*==[0-9][^ ]* ", pin) and pin.endswith("\\") for pin in pins)
    assert all(line.startswith(" ") for pin, line in pairwise(lines) if pin in pins), "a requirement without a hash"
    assert all(re.match(r"    --hash=sha256:[0-9a-f]{64}( \\)?$", line) for line in lines if line.startswith(" "))


def test_every_url_has_a_test() -> None:
    tests = "\n".join(path.read_text("utf-8") for path in tracked("tests/*.py"))
    for route in all_routes():
        assert isinstance(route, (Route, Mount))
        parts = [r"[^/\n]+" if part.startswith("{") else re.escape(part) for part in route.path.split("/")]
        assert re.search(rf"""["'}}]{"/".join(parts)}["'?/ ]""", tests), f"no test asks {route.path}"


def test_every_link_between_the_documents_leads_somewhere() -> None:
    for path in tracked("*.md"):
        text = re.sub(r"```.*?```", "", path.read_text("utf-8"), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)#\s]+)", text):
            if "://" not in target:
                assert (path.parent / target).exists(), f"{name_of(path)} -> {target}"


def test_every_make_target_that_the_documents_name_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for path in tracked("*.md"):
        for target in re.findall(r"`make ([a-z-]+)", path.read_text("utf-8")):
            assert target in targets, f"{name_of(path)} names make {target}"


def test_every_test_that_a_document_names_exists() -> None:
    tests = set(re.findall(r"def (test_\w+)", "\n".join(path.read_text("utf-8") for path in tracked("tests/*.py"))))
    for path in tracked("docs/*.md"):
        named = set(re.findall(r"`(test_\w+)`", path.read_text("utf-8")))
        assert named <= tests, f"{name_of(path)} names {sorted(named - tests)}"
