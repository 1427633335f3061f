import re
import signal
import socket
import ssl
import stat
import time
import urllib.error
import urllib.request

import pytest

from app.cli.bounded_http import MOST_HEAD_BYTES
from models.weights import model_id, terms

FAST = {"precision": "float32", "inference_lanes": "1"}


@pytest.fixture
def serving(start):
    """A function that starts the service on a free port, and waits until it is ready: (process, host and port)."""

    def begin(**settings):
        process = start("serve", port="0", **FAST, **settings)
        line = process.stderr.readline()
        assert line.startswith("Onelook listens at"), line + process.stderr.read()
        address = re.search(r"https?://\S+:\d+", line).group()
        return process, address

    return begin


def get(url, context=None):
    request = urllib.request.Request(url)
    try:
        with urllib.request.urlopen(request, timeout=30, context=context) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as e:
        return e.code, e.headers, e.read()


def wait_until_ready(address, context=None):
    deadline = time.monotonic() + 60
    while get(f"{address}/health/ready", context)[0] != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_start_says_which_encoder_serves_and_under_which_terms(serving):
    process, address = serving()
    wait_until_ready(address)
    process.terminate()
    said, _ = process.communicate(timeout=60)
    assert model_id("onelook", flip=True) in said
    assert terms("onelook") in said


def send(address, content):
    """What comes back for these bytes, until the service hangs up."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        received = b""
        try:
            connection.sendall(content)
            while chunk := connection.recv(65536):
                received += chunk
        except (ConnectionResetError, BrokenPipeError):
            pass
        return received


def test_serves_tells_where_the_admin_key_lies_and_ends_with_0_when_told_to(serving, home):
    process, address = serving()
    assert f"The admin key lies in {home / 'admin.key'}" in process.stderr.readline()
    wait_until_ready(address)
    assert stat.S_IMODE((home / "admin.key").stat().st_mode) == 0o600
    status, headers, _ = get(f"{address}/health/live")
    assert (status, headers.get("server")) == (200, None)
    # A head without a bound would let anybody fill the memory.
    long = b"X-Long: " + b"a" * (3 * MOST_HEAD_BYTES) + b"\r\n"
    head = b"GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
    assert b" 200 " in send(address, head + b"\r\n")
    assert b" 200 " not in send(address, head + long + b"\r\n")
    assert b" 200 " not in send(address, head + long * 20 + b"\r\n")
    assert get(f"{address}/health/live")[0] == 200
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert '"everything_finished": true' in out
    assert "Traceback" not in out + err
    assert (home / "admin.key").read_text().strip().rsplit("_", 1)[1] not in out


def test_serves_by_tls(serving, certificate):
    cert, key = certificate
    process, address = serving(tls_cert=str(cert), tls_key=str(key))
    assert address.startswith("https://127.0.0.1:")
    trusted = ssl.create_default_context(cafile=cert)
    wait_until_ready(address, trusted)
    assert get(f"{address}/nowhere", trusted)[1]["strict-transport-security"] == "max-age=31536000"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_a_port_that_is_taken_is_one_sentence(start, home):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        process = start("serve", port=str(port))
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (2, "")
    assert err == (
        f"onelook: port {port} of 127.0.0.1 is taken: stop what listens there, or set ONELOOK_PORT to another\n"
    )
    assert not home.exists()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"prot": "1"}, "ONELOOK_PROT: no such setting"),
        ({"host": "0.0.0.0"}, "can be reached from other machines"),
        ({"tls_cert": "none.pem", "tls_key": "none.pem"}, "none.pem cannot be read"),
        ({"tls_cert": "README.md", "tls_key": "README.md"}, "are no certificate and its key"),
    ],
)
def test_what_cannot_be_served_is_one_sentence(start, home, root, settings, says, tmp_path):
    settings = {
        name: str(root / "pyproject.toml") if value == "README.md" else value for name, value in settings.items()
    }
    process = start("serve", **settings)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err.count("\n")) == (2, "", 1)
    assert says in err
    assert not home.exists()


@pytest.mark.parametrize("workers", ["1", "3"])
def test_a_database_of_nobody_is_one_sentence(start, home, workers):
    home.mkdir()
    (home / "onelook.db").mkdir()
    process = start("serve", port="0", workers=workers)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err.count("\n")) == (2, 1), err
    assert "cannot be opened or written" in err
