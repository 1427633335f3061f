"""Every operation of the OpenAPI document, called with what it allows and with what it does not: never a fault."""

import contextlib
import json
import socket
import threading
import time

import pytest
import requests
import schemathesis
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from app.main import create_app
from app.routes.log import make_log

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = 12


@schemathesis.serializer("application/zip", "application/x-zip-compressed", "application/x-ndjson",
                         "application/ndjson", "application/jsonl", "image/*")  # fmt: skip
def as_bytes(ctx, value):
    """Files: bytes where the schema says so, and otherwise whatever JSON makes of it."""
    return value.data if hasattr(value, "data") else value if isinstance(value, bytes) else json.dumps(value).encode()


class Serving:
    """The service on a real port, in a thread."""

    def __init__(self, application) -> None:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen()
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._server = uvicorn.Server(uvicorn.Config(application, log_level="error", lifespan="on"))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)
        self._thread.start()
        deadline = time.monotonic() + 20
        while requests.get(f"{self.url}/health/ready", timeout=5).status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()


@pytest.fixture
def served(settings, parts, tmp_path):
    quiet = (tmp_path / "log").open("w")
    serving = Serving(create_app(settings, parts, log=make_log("json", "error", quiet)))
    yield serving
    serving.close()
    quiet.close()


@pytest.fixture
def admin(served, settings):
    return (settings.home / "admin.key").read_text().strip()


@pytest.mark.slow
def test_no_operation_fails_and_each_answers_as_it_is_described(served, admin):
    schema = schemathesis.openapi.from_url(f"{served.url}/openapi.json")
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) > 30
    found = []
    for operation in operations:
        for mode in GenerationMode:
            try:
                _call(operation.as_strategy(generation_mode=mode), {"Authorization": f"Bearer {admin}"})
            except FailureGroup as e:
                found.append(f"{operation.label}: {e}")
    assert not found, "\n\n".join(found)


def _call(cases, headers) -> None:
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    @given(case=cases)
    def calls(case):
        case.call_and_validate(headers=headers, checks=CHECKS, timeout=20)

    # Of an operation without any parameter nothing wrong can be made.
    with contextlib.suppress(Unsatisfiable):
        calls()
