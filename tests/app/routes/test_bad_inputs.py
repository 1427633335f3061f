"""A table of bad inputs, each with its answer. The pictures go through the real decoder and the real networks."""

import base64
import dataclasses
import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.assembly.parts import Parts
from app.clock import RandomIdentifiers, SystemClock
from app.domain.operating_point import Calibration, OperatingPoint
from app.index.flat import FlatIndex
from app.index.follow import FollowedGallery
from app.inference.face_reader import NetworkFaceReader
from app.routes.desk import About
from app.settings import Settings
from app.store.memory.store import MemoryStore
from tests.acceptance.style_storm.renderer import ChainRenderer

MAX_BODY, MAX_IMAGE, MAX_PIXELS = 300_000, 200_000, 2_000_000


def picture(form: str, size: tuple[int, int] = (64, 48), mode: str = "RGB") -> bytes:
    noise = np.random.default_rng(7).integers(0, 255, (size[1], size[0], 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(out, form)
    return out.getvalue()


def png(width: int, height: int, data: bytes = b"", *, checked: bool = True) -> bytes:
    """A PNG that says what it likes about its size."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        crc = zlib.crc32(kind + body) if checked else 0
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


JPEG, PNG, GIF, TIFF, BMP, WEBP = (picture(form) for form in ("JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP"))
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
B64 = base64.b64encode(JPEG).decode()
BOUNDARY = "x-boundary"


def photo(image: bytes, path: str = "/enroll", **fields: Any) -> dict[str, Any]:
    fields = {"name": "Ann"} | fields if path == "/enroll" else fields
    return {"path": path, "files": {"image": ("photo.jpg", image, "image/jpeg")}, "data": fields}


def as_json(path: str = "/enroll", **fields: Any) -> dict[str, Any]:
    return {"path": path, "json": {"image": B64, **({"name": "Ann"} if path == "/enroll" else {}), **fields}}


def raw(content: Any, kind: str | None, path: str = "/enroll", **more: Any) -> dict[str, Any]:
    headers = {} if kind is None else {"Content-Type": kind}
    return {"path": path, "content": content, "headers": headers | more.pop("headers", {}), **more}


def multipart(*parts: bytes, end: bool = True, boundary: str = BOUNDARY) -> dict[str, Any]:
    body = b"".join(b"--x-boundary\r\n" + part + b"\r\n" for part in parts) + (b"--x-boundary--\r\n" if end else b"")
    return raw(body, f"multipart/form-data; boundary={boundary}")


def part(name: bytes, value: bytes) -> bytes:
    return b'Content-Disposition: form-data; name="' + name + b'"\r\n\r\n' + value


def get(path: str, method: str = "GET", **more: Any) -> dict[str, Any]:
    return {"path": path, "method": method, **more}


def patch(content: Any, if_match: str | None = '"1"', kind: str = "application/json") -> dict[str, Any]:
    headers = {"Content-Type": kind} | ({} if if_match is None else {"If-Match": if_match})
    return {"path": "/persons/somebody", "method": "PATCH", "content": content, "headers": headers}


DEEP = "[" * 100_000
TABLE: dict[str, tuple[dict[str, Any], int, str]] = {
    # files
    "an empty file": (photo(b""), 422, "unreadable_image"),
    "one byte": (photo(b"\xff"), 415, "unsupported_media"),
    "a JPEG cut short": (photo(JPEG[: len(JPEG) // 2]), 422, "unreadable_image"),
    "the first bytes of a JPEG": (photo(JPEG[:4]), 422, "unreadable_image"),
    "a JPEG header before noise": (photo(JPEG[:20] + bytes(range(256)) * 8), 422, "unreadable_image"),
    "a PNG cut short": (photo(PNG[: len(PNG) // 2]), 422, "unreadable_image"),
    "a PNG with wrong checksums": (photo(png(8, 8, bytes(8 * 25), checked=False)), 422, "unreadable_image"),
    "a PNG bomb": (photo(png(60_000, 60_000, bytes(60_000))), 422, "too_many_pixels"),
    "a PNG of no width": (photo(png(0, 10)), 422, "unreadable_image"),
    "a PNG of no height": (photo(png(10, 0)), 422, "unreadable_image"),
    "a PNG that lacks its rows": (photo(png(500, 500, b"\0" * 100)), 422, "unreadable_image"),
    "a GIF cut short": (photo(GIF[:20]), 422, "unreadable_image"),
    "a TIFF cut short": (photo(TIFF[: len(TIFF) // 2]), 422, "unreadable_image"),
    "a BMP cut short": (photo(BMP[:60]), 422, "unreadable_image"),
    "a WebP cut short": (photo(WEBP[:40]), 422, "unreadable_image"),
    "a HEIC that is a name only": (photo(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"), 422, "unreadable_image"),
    "text called a JPEG": (photo(b"hello, world"), 415, "unsupported_media"),
    "an SVG": (photo(SVG), 415, "unsupported_media"),
    "an SVG as what it is": (raw(SVG, "image/svg+xml", params={"name": "Ann"}), 415, "unsupported_media"),
    "a PDF": (photo(b"%PDF-1.7\n" + bytes(100)), 415, "unsupported_media"),
    "a zip": (photo(b"PK\x03\x04" + bytes(100)), 415, "unsupported_media"),
    "an executable": (photo(b"\x7fELF" + bytes(100)), 415, "unsupported_media"),
    "more pixels than the limit": (photo(png(2000, 1001, bytes(1001 * 6001)), "/detect"), 422, "too_many_pixels"),
    "more bytes than an image may have": (photo(JPEG + bytes(MAX_IMAGE)), 413, "body_too_large"),
    "more bytes than a body may have": (photo(bytes(MAX_BODY + 1)), 413, "body_too_large"),
    "a picture without a face": (photo(JPEG), 422, "no_face"),
    "a grey picture of two pixels": (photo(picture("PNG", (2, 1), "L")), 422, "no_face"),
    "a damaged second picture": (
        {"path": "/verify", "files": {"image": ("a", JPEG[:300]), "image2": ("b", JPEG)}},
        422,
        "unreadable_image",
    ),
    # fields
    "no name": (raw(JPEG, "image/jpeg"), 422, "invalid_field"),
    "an empty name": (photo(JPEG, name=""), 422, "invalid_field"),
    "a NUL in the name": (as_json(name="An\0n"), 422, "invalid_field"),
    "half a surrogate pair in the name": (
        raw(b'{"image": "%s", "name": "\\ud800"}' % B64.encode(), "application/json"),
        422,
        "invalid_field",
    ),
    "an overlong name": (photo(JPEG, name="x" * 201), 422, "invalid_field"),
    "a giant name": (photo(JPEG, name="x" * 100_000), 422, "invalid_field"),
    "a name that is a number": (as_json(name=7), 422, "invalid_field"),
    "a field that does not exist": (photo(JPEG, color="red"), 422, "invalid_field"),
    "a field sent twice": (photo(JPEG, name=["Ann", "Bob"]), 422, "invalid_field"),
    "an image sent twice": (multipart(part(b"image", JPEG), part(b"image", JPEG)), 422, "invalid_field"),
    "no image": (multipart(part(b"name", b"Ann")), 422, "invalid_field"),
    "an id with a slash": (photo(JPEG, person_id="../admin"), 422, "invalid_field"),
    "metadata that is no JSON": (photo(JPEG, metadata="{'a': 1}"), 422, "invalid_field"),
    "metadata that is a list": (as_json(metadata=[1]), 422, "invalid_field"),
    "metadata that is too large": (as_json(metadata={"x": "y" * 5000}), 422, "invalid_field"),
    "metadata that is too deep": (photo(JPEG, metadata=DEEP), 422, "invalid_field"),
    "a time without a zone": (photo(JPEG, valid_until="2031-01-01T00:00:00"), 422, "invalid_field"),
    "a time that is none": (photo(JPEG, valid_until="2031-02-30T00:00:00Z"), 422, "invalid_field"),
    "a validity that ends first": (
        photo(JPEG, valid_from="2031-01-02T00:00:00Z", valid_until="2031-01-01T00:00:00Z"),
        422,
        "invalid_field",
    ),
    "a flag that is perhaps": (photo(JPEG, dry_run="perhaps"), 422, "invalid_field"),
    "a choice that is none": (photo(JPEG, on_duplicate="merge"), 422, "invalid_field"),
    "a gallery that is not there": (photo(JPEG, galleries="lab"), 404, "unknown_gallery"),
    "an error rate of nothing": (photo(JPEG, "/identify", target_fpir="0"), 422, "invalid_field"),
    "an error rate that is no number": (photo(JPEG, "/identify", target_fpir="nan"), 422, "invalid_field"),
    "an error rate without an end": (photo(JPEG, "/identify", target_fpir="inf"), 422, "invalid_field"),
    "an error rate without evidence": (photo(JPEG, "/identify", target_fpir="1e-9"), 422, "unsupported_target"),
    "an error rate of many digits": (
        as_json("/identify", target_fpir=10**400),
        422,
        "invalid_field",
    ),
    "too many candidates": (photo(JPEG, "/identify", top_k="21"), 422, "invalid_field"),
    "candidates in other digits": (photo(JPEG, "/identify", top_k="٣"), 422, "invalid_field"),
    "a quality above one": (photo(JPEG, "/identify", min_quality="1.01"), 422, "invalid_field"),
    "a verification of nobody": (photo(JPEG, "/verify"), 422, "invalid_field"),
    "a verification of who never was": (photo(JPEG, "/verify", person_id="nobody"), 404, "unknown_person"),
    "a verification of a NUL": (as_json("/verify", person_id="\0"), 422, "invalid_field"),
    "a list of those named NUL": (get("/persons?name=%00"), 422, "invalid_field"),
    "what NUL did": (get("/audit?actor=%00"), 422, "invalid_field"),
    "a template of who never was": (photo(JPEG, "/persons/nobody/templates"), 404, "unknown_person"),
    # encodings
    "no JSON": (raw("{", "application/json"), 400, "malformed"),
    "an empty JSON body": (raw("", "application/json"), 400, "malformed"),
    "JSON that is a list": (raw("[]", "application/json"), 400, "malformed"),
    "deep JSON": (raw(DEEP, "application/json"), 400, "malformed"),
    "deep JSON in a field": (raw('{"metadata":' * 20_000, "application/json"), 400, "malformed"),
    "JSON with NaN": (raw('{"image": "", "name": NaN}', "application/json"), 400, "malformed"),
    "JSON with a field twice": (raw('{"name": "a", "name": "b"}', "application/json"), 400, "malformed"),
    "JSON in UTF-8 that is none": (raw(b'{"name": "\xff"}', "application/json"), 400, "malformed"),
    "base64 that is none": (as_json(image="!!!!"), 422, "invalid_field"),
    "base64 without padding": (as_json(image="QUI"), 422, "invalid_field"),
    "base64 behind a data URL": (as_json(image=f"data:image/jpeg;base64,{B64}"), 422, "invalid_field"),
    "an image that is a number": (as_json(image=5), 422, "invalid_field"),
    "an image that is null": (as_json(image=None), 422, "invalid_field"),
    "an empty image in base64": (as_json(image=""), 422, "unreadable_image"),
    "multipart without a boundary": (raw(JPEG, "multipart/form-data"), 400, "malformed"),
    "multipart with another boundary": (multipart(part(b"image", JPEG), boundary="other"), 400, "malformed"),
    "multipart with a giant boundary": (multipart(part(b"image", JPEG), boundary="x" * 500), 400, "malformed"),
    "multipart without an end": (multipart(part(b"image", JPEG), end=False), 400, "malformed"),
    "multipart without a name": (multipart(b"Content-Disposition: form-data\r\n\r\nx"), 400, "malformed"),
    "multipart without headers": (multipart(b"\r\n\r\nx"), 400, "malformed"),
    "multipart that is empty": (raw(b"", f"multipart/form-data; boundary={BOUNDARY}"), 400, "malformed"),
    "multipart of very many parts": (multipart(*[part(b"groups", b"x")] * 300), 400, "malformed"),
    "a field's name that is not UTF-8": (multipart(part(b"\xff", b"x")), 400, "malformed"),
    "a field that is not UTF-8": (multipart(part(b"image", JPEG), part(b"name", b"\xff")), 422, "invalid_field"),
    "a query that is not UTF-8": (raw(JPEG, "image/jpeg", "/enroll?name=%FF"), 400, "malformed"),
    "a query of very many fields": (raw(JPEG, "image/jpeg", "/enroll?" + "name=x&" * 500), 400, "malformed"),
    "a query beside a form": (photo(JPEG) | {"params": {"name": "Ann"}}, 422, "invalid_field"),
    # content types
    "no content type": (raw(JPEG, None), 415, "unsupported_media"),
    "text": (raw("hello", "text/plain"), 415, "unsupported_media"),
    "a form of another kind": (raw("name=Ann", "application/x-www-form-urlencoded"), 415, "unsupported_media"),
    "XML": (raw("<a/>", "application/xml"), 415, "unsupported_media"),
    "a content type that is none": (raw(JPEG, ";;;"), 415, "unsupported_media"),
    "a compressed body": (raw(JPEG, "image/jpeg", headers={"Content-Encoding": "gzip"}), 415, "unsupported_media"),
    "keys as a form": (raw("name=x", "application/x-www-form-urlencoded", "/keys"), 415, "unsupported_media"),
    # headers, methods and paths
    "an answer as a picture": (get("/persons", headers={"Accept": "image/png"}), 406, "not_acceptable"),
    "another method": (get("/enroll"), 405, "method"),
    "a method that is made up": (get("/persons", "BREW"), 405, "method"),
    "another path": (get("/enrol"), 404, "not_found"),
    "a path that climbs": (get("/persons/..%2f..%2fkeys"), 404, "not_found"),
    "a NUL in a path": (get("/persons/%00"), 404, "unknown_person"),
    "a path that is not UTF-8": (get("/persons/%FF"), 404, "unknown_person"),
    "a very long path": (get("/persons/" + "x" * 10_000), 404, "unknown_person"),
    "a template that is not there": (get("/persons/somebody/templates/none", "DELETE"), 404, "unknown_person"),
    "a receipt that is not there": (get("/erasures/none"), 404, "not_found"),
    "erasing who never was": (get("/persons/nobody", "DELETE"), 404, "unknown_person"),
    "a cursor that is none": (get("/persons?cursor=%%%"), 422, "invalid_field"),
    "a cursor that was not given out": (get("/persons?cursor=abc"), 422, "invalid_field"),
    "a cursor of something else": (get("/persons?cursor=Li4v"), 422, "invalid_field"),
    "a limit of nothing": (get("/persons?limit=0"), 422, "invalid_field"),
    "a limit beyond the limit": (get("/persons?limit=501"), 422, "invalid_field"),
    "a limit that is no number": (get("/persons?limit=1e2"), 422, "invalid_field"),
    "a negative limit": (get("/keys?limit=-1"), 422, "invalid_field"),
    "a query where there is none": (get("/info?verbose=1"), 422, "invalid_field"),
    "a change without If-Match": (patch("{}", None), 428, "if_match_required"),
    "a change with an If-Match that is none": (patch('{"name": "x"}', "one"), 412, "stale"),
    "a change of who never was": (patch('{"name": "x"}'), 404, "unknown_person"),
    "a change that is no JSON": (patch("name=x"), 400, "malformed"),
    "a change that is a picture": (patch(JPEG, kind="image/jpeg"), 415, "unsupported_media"),
    # keys
    "no key": (photo(JPEG) | {"key": None}, 401, "no_key"),
    "a key of another kind": (photo(JPEG) | {"key": None, "headers": {"Authorization": "Basic eA=="}}, 401, "no_key"),
    "a key that is none": (photo(JPEG) | {"key": "hello"}, 401, "bad_key"),
    "a key that never was": (photo(JPEG) | {"key": "olk_0_0"}, 401, "bad_key"),
    "a giant key": (photo(JPEG) | {"key": "olk_" + "x" * 100_000}, 401, "bad_key"),
    "a key with an odd byte": (photo(JPEG) | {"key": None, "headers": {"X-API-Key": b"olk_\xff_x"}}, 401, "bad_key"),
    "a new key without a name": (get("/keys", "POST", json={"scopes": ["verify"]}), 422, "invalid_field"),
    "a new key without scopes": (get("/keys", "POST", json={"name": "x", "scopes": []}), 422, "invalid_field"),
    "a new key of a scope that is none": (
        get("/keys", "POST", json={"name": "x", "scopes": ["fly"]}),
        422,
        "invalid_field",
    ),
    "a new key that has expired": (
        get("/keys", "POST", json={"name": "x", "scopes": ["verify"], "expires_at": "2001-01-01T00:00:00Z"}),
        422,
        "invalid_field",
    ),
    "a new key at the end of time": (
        get("/keys", "POST", json={"name": "x", "scopes": ["verify"], "expires_at": "9999-12-31T23:59:59-12:00"}),
        422,
        "invalid_field",
    ),
    "revoking what is not there": (get("/keys/none", "DELETE"), 404, "unknown_key"),
}


@pytest.fixture(scope="module")
def bad_input_service(service_class, tmp_path_factory):
    reader = NetworkFaceReader(precision="float32", lanes=1, max_image_bytes=MAX_IMAGE, max_image_pixels=MAX_PIXELS)
    store = MemoryStore()
    point = OperatingPoint("p", "fmr", 0.01, 0.4, "measured", 0.01, (0.0, 0.1), 9, 9, 9, None, 0.1, reader.model_id)
    points = Calibration(reader.model_id, (point,), (dataclasses.replace(point, kind="fpir", gallery_size=10),))
    about = About("0", "terms", "cpu", "float32", "for the test", 1, 1, "flat")
    gallery = FollowedGallery(store, FlatIndex, reader.model_id)
    parts = Parts(
        store, gallery, reader, points, about, SystemClock(), RandomIdentifiers(), ChainRenderer(), reader.close
    )
    settings = Settings(
        home=tmp_path_factory.mktemp("home"),
        max_body_bytes=MAX_BODY,
        max_image_bytes=MAX_IMAGE,
        max_image_pixels=MAX_PIXELS,
    )
    service = service_class(settings, parts)
    service.start()
    assert service.admin
    yield service, store
    service.begin_stop().result(20)
    service.close()


def stored(store):
    with store.read() as uow:
        return uow.people.count(), uow.templates.count(), uow.keys.count(), uow.changes.head()


@pytest.mark.parametrize("name", TABLE)
def test_a_bad_input_is_refused_and_nothing_is_stored(bad_input_service, name):
    service, store = bad_input_service
    request, status, code = TABLE[name]
    before = stored(store)
    sent = {"method": "POST", **request}
    answer = service.call(sent.pop("method"), sent.pop("path"), **sent)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]
    for trace in ("Traceback", 'File "', "site-packages", ".py"):
        assert trace not in answer.text
    assert stored(store) == before


def test_the_table_is_long_and_no_answer_is_500():
    assert len(TABLE) >= 60
    assert all(status < 500 for _, status, _ in TABLE.values())


def test_after_all_of_them_the_service_still_works(bad_input_service):
    service, _ = bad_input_service
    assert service.photo("/detect", JPEG).json() == {"faces": [], "width": 64, "height": 48}
    assert service.call("GET", "/health/ready").json()["status"] == "ready"
    assert '"level": "error"' not in service.log.getvalue()
