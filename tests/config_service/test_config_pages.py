"""Pages of the configuration service."""

from tests.config_service.conftest import Office

PAGE = {"Accept": "text/html"}


async def test_values_are_changed_looked_at_and_brought_back(office: Office) -> None:
    made = await office.alice.post("/config", data={"name": "shop"}, headers=PAGE)
    assert made.headers["location"] == "/config/shop"
    assert (await office.alice.post("/config", data={"name": "shop"}, headers=PAGE)).status_code == 400
    form = {"key": "price", "value": "5", "why": "<b>sale</b>"}
    assert (await office.alice.post("/config/shop", data=form, headers=PAGE)).status_code == 303
    await office.alice.post("/config/shop", data={"key": "k", "value": '"s3cret"', "secret": "1"}, headers=PAGE)
    await office.alice.post("/config/shop", data={"key": "price", "remove": "1"}, headers=PAGE)
    bad = await office.alice.post("/config/shop", data={"key": "price", "value": "{"}, headers=PAGE)
    assert bad.status_code == 400
    shown = (await office.alice.get("/config/shop", headers=PAGE)).text
    assert "&lt;b&gt;sale&lt;/b&gt;" in shown
    back = await office.alice.post("/config/shop/rollback", data={"version": "2", "why": ""}, headers=PAGE)
    assert back.status_code == 303
    assert (await office.alice.get("/api/config/shop")).json() == {"price": 5}
    await office.grant("/api/config/shop", "read")
    assert "s3cret" not in (await office.bob.get("/config/shop", headers=PAGE)).text
    assert "shop" in (await office.bob.get("/config", headers=PAGE)).text
    assert (await office.bob.post("/config/shop", data=form, headers=PAGE)).status_code == 403
