import re

from app.routes.access import PUBLIC, TABLE


def operations(service):
    for path, found in service.call("GET", "/openapi.json", key=None).json()["paths"].items():
        for method, operation in found.items():
            yield f"{method.upper()} {path}", operation


def test_every_operation_says_what_it_needs_and_how_it_refuses(service):
    for name, operation in operations(service):
        assert operation["x-scope"] == TABLE[name]
        if TABLE[name] != PUBLIC:
            assert {"401", "403"} <= set(operation["responses"]), name
            assert operation["security"], name


def test_an_image_is_described_in_its_three_forms(service):
    described = dict(operations(service))["POST /enroll"]
    content = described["requestBody"]["content"]
    assert set(content) == {"multipart/form-data", "application/json", "image/*"}
    for form in ("multipart/form-data", "application/json"):
        assert content[form]["schema"]["required"] == ["image", "name"]
        assert content[form]["schema"]["additionalProperties"] is False
    assert {p["name"] for p in described["parameters"]} >= {"name", "dry_run", "metadata"}


def test_every_reference_leads_somewhere(service):
    answer = service.call("GET", "/openapi.json", key=None)
    schemas = answer.json()["components"]["schemas"]
    references = set(re.findall(r'"#/components/schemas/(\w+)"', answer.text))
    assert references
    assert references <= set(schemas)


def test_no_shape_holds_a_vector_or_a_digest(service):
    schemas = service.call("GET", "/openapi.json", key=None).json()["components"]["schemas"]
    # A subject's own, and only for an admin who asks for it.
    assert "embedding" in schemas.pop("HeldTemplateBody")["properties"]
    fields = {name for schema in schemas.values() for name in schema.get("properties", ())}
    assert {"similarity", "box"} <= fields
    assert not fields & {"embedding", "vector", "digest", "secret", "crop"}


def test_the_pages_ask_no_other_host_and_run_no_script(service):
    for path in ("/docs", "/docs/problems"):
        answer = service.call("GET", path, key=None)
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert "<script" not in answer.text
        assert not re.search(r"(src|href)=\"(https?:)?//", answer.text)
        assert "script-src" not in answer.headers["content-security-policy"]
    assert all(f"<code>{route}</code>" in service.call("GET", "/docs", key=None).text for route in TABLE)
