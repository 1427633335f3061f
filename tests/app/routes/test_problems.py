import json
import re
from pathlib import Path

import pytest

from app.errors import Corrupt, Misconfigured, NotAcknowledged, NotReady, OnelookError, SealBroken, StoreAway
from app.routes.problems import IN_ROWS, TABLE, TITLES, row_of

HTTP_MD = Path(__file__).parents[3] / "docs" / "http.md"
# They end a start, or tell of a broken disk: no caller can do anything about them.
FAULTS = {"Misconfigured", "Corrupt", "SealBroken"}


def leaves(error):
    below = error.__subclasses__()
    return [error] if not below else [leaf for one in below for leaf in leaves(one)]


def test_every_error_has_a_row_of_its_own_or_of_its_kind():
    unmapped = {error.__name__ for error in leaves(OnelookError) if row_of(error)[1] == "internal"}
    assert unmapped <= FAULTS


def test_every_code_has_a_title():
    assert {code for _, code in TABLE.values()} | {"method", *IN_ROWS} == set(TITLES)


def test_the_document_explains_every_code_with_its_status():
    rows = re.findall(r'^\| <a id="(\w+)"></a>`(\w+)` \| (\d+) \|', HTTP_MD.read_text(encoding="utf-8"), re.M)
    assert all(anchor == code for anchor, code, _ in rows)
    documented = {code: int(status) for _, code, status in rows}
    assert documented == {code: status for status, code in TABLE.values()} | {"method": 405, **IN_ROWS}


def test_every_code_has_its_place_on_the_page_that_type_points_to(service):
    page = service.call("GET", "/docs/problems", key=None).text
    problem = service.call("GET", "/info", key=None).json()
    assert problem["type"] == "/docs/problems#no_key"
    assert all(f'id="{code}"' in page for code in TITLES)


def test_a_problem_has_the_members_of_the_standard(service):
    answer = service.call("GET", "/nowhere")
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert (body["status"], body["code"], answer.status_code) == (404, "not_found", 404)
    assert body["request_id"] == answer.headers["x-request-id"]
    assert body["title"]
    assert body["detail"]


def test_another_method_is_told_which_there_are(service):
    answer = service.call("PUT", "/info")
    assert (answer.status_code, answer.json()["code"]) == (405, "method")
    assert answer.headers["allow"] == "GET"


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/keys", "GET, POST"),
        ("/persons/ann", "DELETE, GET, PATCH"),
        ("/persons/ann/templates", "GET, POST"),
        ("/docs", "GET, HEAD"),
    ],
)
def test_every_method_of_a_path_is_told_whichever_route_comes_first(service, path, methods):
    assert service.call("PUT", path).headers["allow"] == methods


def test_a_path_that_ends_in_a_slash_is_another_path(service):
    assert service.call("GET", "/persons/").json()["code"] == "not_found"


@pytest.mark.parametrize(
    "fault", [RuntimeError("secret-thing"), Misconfigured("secret-thing"), KeyError("secret-thing")]
)
def test_a_fault_of_ours_is_told_without_its_text_and_logged_without_it_too(service, pictures, reader, fault):
    def fail():
        raise fault

    reader.before_reading = fail
    answer = service.photo("/detect", pictures.of("ann"))
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "secret-thing" not in answer.text
    assert "Traceback" not in answer.text
    log = service.log.getvalue()
    assert "secret-thing" not in log
    assert type(fault).__name__ in log
    assert answer.json()["request_id"] in log


@pytest.mark.parametrize("error", [Corrupt, SealBroken])
def test_what_is_corrupt_is_told_to_the_log_and_not_to_the_caller(service, pictures, reader, error):
    def fail():
        raise error("template tpl_1 of key k1")

    reader.before_reading = fail
    answer = service.photo("/detect", pictures.of("ann"))
    assert (answer.status_code, answer.json()["code"], answer.json()["detail"]) == (503, "not_ready", NotReady().detail)
    line = json.loads(service.log.getvalue().splitlines()[-1])
    assert (line["level"], line["status"], line["reason"]) == ("error", 503, "template tpl_1 of key k1")
    assert error.__name__ in line["fault"]


@pytest.mark.parametrize(("error", "advice"), [(StoreAway, "try again"), (NotAcknowledged, "before you send it again")])
def test_a_database_that_is_away_is_told_with_what_to_do_and_the_reason_only_to_the_log(
    service, pictures, reader, error, advice
):
    def fail():
        raise error from ConnectionError("to db1.internal as onelook")

    reader.before_reading = fail
    answer = service.photo("/detect", pictures.of("ann"))
    assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
    assert int(answer.headers["retry-after"]) >= 1
    assert advice in answer.json()["detail"]
    assert "db1" not in answer.text
    line = json.loads(service.log.getvalue().splitlines()[-1])
    assert f"{error.__name__} at" in line["fault"]
    assert "ConnectionError" in line["fault"]
