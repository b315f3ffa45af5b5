"""A single-page app with oidc-client-ts, from another origin: pop-ups, refresh, new keys, sign-out at both ends."""

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse
from starlette.routing import Route

from dev.serving import served
from tests.browser.conftest import Visitor
from tests.helpers.cast import PASSWORD
from tests.helpers.npm import node_with_packages
from tests.helpers.service import process
from tests.helpers.sockets import PATIENCE, free_ports
from tests.helpers.valkey import Valkey
from tests.relying_parties.conftest import rotation

pytestmark = [pytest.mark.browser, pytest.mark.slow]
FOLDER = Path(__file__).parents[1] / "relying_parties"
PACKAGE = FOLDER / "node_modules" / "oidc-client-ts" / "dist" / "browser" / "oidc-client-ts.min.js"


@dataclass(frozen=True, slots=True)
class App:
    """The app's address, the provider's, and the command that makes new keys sign at once."""

    url: str
    issuer: str
    rotation: list[str]


@pytest.fixture
def app(short_folder: Path, server: Valkey) -> Iterator[App]:
    """`localhost` is another site than the provider's 127.0.0.1."""
    node_with_packages(FOLDER)
    port, other = free_ports(2)
    issuer, here = f"http://127.0.0.1:{port}", f"http://localhost:{other}"
    back = [f"{here}/callback"]
    client = {"public": True, "redirect_uris": back, "post_logout_redirect_uris": back}
    settings = {"public_url": issuer, "clients": json.dumps({"spa": client}), "registration": "open"}
    told = {"authority": issuer, "client_id": "spa", "redirect_uri": back[0], "popup_post_logout_redirect_uri": back[0]}

    async def page(_: Request) -> FileResponse:
        return FileResponse(FOLDER / "spa.html")

    async def script(_: Request) -> FileResponse:
        return FileResponse(FOLDER / "spa.js")

    async def package(_: Request) -> FileResponse:
        return FileResponse(PACKAGE)

    async def configuration(_: Request) -> JSONResponse:
        return JSONResponse(told)

    routes = [
        Route("/", page), Route("/callback", page), Route("/spa.js", script), Route("/oidc-client-ts.js", package),
        Route("/settings.json", configuration),
    ]  # fmt: skip
    settings["redis_url"] = server.url
    with process(short_folder / "spa", port=str(port), **settings) as service:
        service.url()
        with served(Starlette(routes=routes), port=other):
            yield App(here, issuer, rotation(short_folder / "spa", settings))


def test_a_person_signs_in_and_out_in_pop_ups(app: App, meet: Callable[..., Visitor]) -> None:
    visitor = meet()
    tab = visitor.tab(app.url)
    with tab.expect_popup() as opened:
        tab.get_by_role("button", name="Sign in").click()
    sign_up_and_agree(opened.value)
    expect(tab.locator("#state")).to_have_text("signed in as dora")
    subprocess.run(app.rotation, check=True, timeout=PATIENCE)
    tab.get_by_role("button", name="Refresh").click()
    expect(tab.locator("#state")).to_have_text("refreshed")
    with tab.expect_popup():
        tab.get_by_role("button", name="Sign out").click()
    expect(tab.locator("#state")).to_have_text("signed out again")
    with tab.expect_popup() as opened:
        tab.get_by_role("button", name="Sign in").click()
    opened.value.get_by_label("Username").fill("dora")
    opened.value.get_by_label("Password").fill(PASSWORD)
    opened.value.get_by_role("button", name="Sign in").click()
    expect(tab.locator("#state")).to_have_text("signed in as dora")
    there = visitor.tab(app.issuer)
    there.get_by_role("button", name="Sign out").click()
    expect(there.get_by_role("button", name="Sign out")).to_be_hidden()
    tab.get_by_role("button", name="Refresh").click()
    expect(tab.locator("#state")).to_contain_text("failed")
    assert all("status of 400" in said for said in visitor.complaints)  # the refused refresh
    visitor.complaints.clear()


def sign_up_and_agree(popup: Page) -> None:
    """The way of a newcomer: the sign-in page, the sign-up page, the question, and back."""
    popup.get_by_role("link", name="Create an account").click()
    popup.get_by_label("Username").fill("dora")
    popup.get_by_label("Password").fill(PASSWORD)
    popup.get_by_role("button", name="Create the account").click()
    popup.get_by_role("button", name="Allow").click()
