"""A page that stays open while another user signs in: its forms do nothing for that user."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.web.templating import FORM_USER, POST_FORM, TEMPLATES
from tests.helpers.cast import PASSWORD, Cast, signed_in
from tests.helpers.forms import Forms
from tests.helpers.service import Running

SENT_BY_ANYBODY = {"/language", "/sign-out"}


async def change_user(browser: httpx.AsyncClient, name: str) -> None:
    response = await browser.post("/api/session", json={"username": name, "password": PASSWORD})
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("page", "action", "typed"),
    [
        ("/account", "/account/profile", {"display_name": "Mallory"}),
        ("/account/tokens", "/account/tokens", {"name": "mine"}),
        ("/account", "/account/export", {}),
        ("/sites", "/sites", {"name": "mine"}),
    ],
)
async def test_a_form_of_another_user_changes_nothing(
    service: Running, cast: Cast, page: str, action: str, typed: dict[str, Any]
) -> None:
    browser = await signed_in(service, "alice")
    (form,) = (each for each in Forms((await browser.get(page)).text).forms if each.action == action)
    assert form.fields[FORM_USER] == cast.alice.id
    await change_user(browser, "bob")
    refused = await browser.post(action, data=form.fields | typed)
    assert refused.status_code == 409
    assert "Another user is signed in now" in refused.text
    await change_user(browser, "alice")
    assert (await browser.post(action, data=form.fields | typed)).status_code != 409


async def test_sign_out_and_language_forms_work_for_any_user(service: Running, cast: Cast) -> None:
    browser = await signed_in(service, "alice")
    forms = {each.action: each.fields for each in Forms((await browser.get("/account")).text).forms}
    assert {action for action, fields in forms.items() if FORM_USER not in fields} == SENT_BY_ANYBODY


@pytest.mark.parametrize(
    "template", sorted(TEMPLATES.rglob("*.html")), ids=lambda path: str(path.relative_to(TEMPLATES))
)
def test_each_form_says_how_it_is_sent_in_a_way_that_is_found(template: Path) -> None:
    forms = re.findall(r"<form\b[^>]*>", template.read_text())
    posted = [form for form in forms if "post" in form and not any(f'"{path}"' in form for path in SENT_BY_ANYBODY)]
    assert posted == [form for form in forms if POST_FORM.fullmatch(form)]
