"""What the OpenAPI document says of sites is what they take."""

from jsonschema_rs import Draft202012Validator

from tests.sites.conftest import Desk


async def test_settings_that_are_taken_are_as_described(desk: Desk) -> None:
    described = (await desk.owner.get("/api/openapi.json")).json()
    paths = described["paths"]
    settings = {
        "name": "Blog",
        "hosts": ["blog.eu.example.org", "xn--mnchen-3ya.example"],
        "keep_query": ["id", "a[]", "ключ"],
        "frame": ["https://a.b.c.example:8443", "http://localhost:3000"],
        "ignore": ["192.0.2.0/24", "2001:db8::1", "2001:db8::/32", "198.51.100.7"],
    }
    for method, path in ("post", "/api/sites"), ("patch", "/api/sites/{id}"):
        schema = paths[path][method]["requestBody"]["content"]["application/json"]["schema"]
        validator = Draft202012Validator(schema | {"components": described["components"]}, validate_formats=True)
        validator.validate(settings)
        for field, wrong in ("hosts", "a..example"), ("frame", "https://a.example:0"), ("ignore", "192.0.2.0/33"):
            assert not validator.is_valid(settings | {field: [wrong]}), field
    assert (await desk.owner.post("/api/sites", json=settings)).status_code == 201
    kinds = next(each for each in paths["/api/sites/{id}/top/{kind}"]["get"]["parameters"] if each["name"] == "kind")
    site = await desk.site()
    for kind in kinds["schema"]["enum"]:
        assert (await desk.owner.get(f"/api/sites/{site}/top/{kind}")).status_code == 200
    assert "requestBody" in paths["/api/sites/{id}/imports"]["post"]
