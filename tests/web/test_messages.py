"""The translations: complete, compiled, and with the same places for names and numbers."""

import re
from io import BytesIO
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from app.web.i18n import FOLDER, NAMES, SOURCE, Locales
from tests.helpers.service import ROOT

TRANSLATED = [code for code in NAMES if code != SOURCE]
METHODS = [("templates/**.html", "jinja2"), ("**.py", "python")]
PLACE = re.compile(r"%\(\w+\)\w|\{\w*\}")


def catalog_of(code: str) -> Catalog:
    with (FOLDER / code / "LC_MESSAGES" / "messages.po").open("rb") as file:
        return read_po(file, code)


def sentences() -> set[str]:
    """Every sentence that a template or a module marks as one to be translated."""
    keywords = DEFAULT_KEYWORDS | {"N_": None}
    found = extract_from_dir(ROOT / "app", METHODS, keywords=keywords)
    return {message if isinstance(message, str) else message[0] for _, _, message, _, _ in found}


def forms(message: Message) -> tuple[list[str], list[str]]:
    """(the English forms, the translated ones)."""
    english = [message.id] if isinstance(message.id, str) else list(message.id)
    translated = [message.string] if isinstance(message.string, str) else list(message.string or ())
    return english, translated


@pytest.mark.slow
def test_sentences_are_found_in_templates_and_in_modules() -> None:
    assert {"Skip to content", "{n} visit so far", "Page not found"} <= sentences()


@pytest.mark.slow
@pytest.mark.parametrize("code", TRANSLATED)
def test_every_sentence_is_translated_and_none_is_left_over(code: str) -> None:
    known = {forms(message)[0][0] for message in catalog_of(code) if message.id}
    assert sentences() - known == set(), "run `make messages`, then translate"
    assert known - sentences() == set(), "run `make messages`"


@pytest.mark.parametrize("code", TRANSLATED)
def test_no_translation_is_empty_or_guessed(code: str) -> None:
    for message in catalog_of(code):
        if message.id:
            assert all(forms(message)[1]), message.id
            assert not message.fuzzy, message.id


@pytest.mark.parametrize("code", TRANSLATED)
def test_a_translation_has_the_same_places_to_fill_in(code: str) -> None:
    for message in catalog_of(code):
        english, translated = forms(message)
        for form in translated if message.id else []:
            assert sorted(PLACE.findall(form)) == sorted(PLACE.findall(english[-1])), message.id


@pytest.mark.parametrize("code", TRANSLATED)
def test_compiled_catalogs_are_current(code: str) -> None:
    compiled = BytesIO()
    write_mo(compiled, catalog_of(code))
    assert compiled.getvalue() == (FOLDER / code / "LC_MESSAGES" / "messages.mo").read_bytes(), "run `make messages`"


def test_every_language_has_a_catalog_and_a_name() -> None:
    assert {path.name for path in Path(FOLDER).iterdir() if path.is_dir()} == set(TRANSLATED)


def test_the_translation_of_nothing_is_nothing() -> None:
    """The catalogue has its header there: gettext would return it."""
    assert [Locales().translate(code, "") for code in NAMES] == [""] * len(NAMES)
