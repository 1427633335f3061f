import asyncio
import json

import pytest
from uvicorn import Config
from uvicorn.server import ServerState

from app.cli import bounded_http
from app.cli.bounded_http import MOST_HEAD_BYTES, BoundedHttp
from app.routes.envelope import SAFE_HEADERS

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\n"


async def count_body(scope, receive, send):
    """Answers with the number of bytes of the body, which it leaves unread at /unread."""
    count, more = 0, scope["path"] != "/unread"
    while more:
        message = await receive()
        count, more = count + len(message.get("body", b"")), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"<%d>" % count})


@pytest.fixture
def talk():
    """Sends pieces with a pause after each; what came back until the other side hung up, or until it is quiet."""

    async def conversation(pieces, pause_s, quiet_s):
        config = Config(count_body, lifespan="off", ws="none", log_config=None)
        config.load()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: BoundedHttp(config, ServerState(), {}), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        received, ended = b"", False
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause_s)
            while not ended:
                chunk = await asyncio.wait_for(reader.read(65536), quiet_s)
                received, ended = received + chunk, not chunk
        except (ConnectionError, TimeoutError) as e:
            ended = isinstance(e, ConnectionError)
        finally:
            writer.close()
            server.close()
        return received, ended

    return lambda *pieces, pause_s=0.0, quiet_s=0.3: asyncio.run(conversation(pieces, pause_s, quiet_s))


def test_answers_requests_whose_body_is_longer_than_a_head_may_be(talk):
    size = 4 * MOST_HEAD_BYTES
    request = HEAD + b"Content-Length: %d\r\n\r\n" % size + b"x" * size
    received, ended = talk(request + HEAD, b"Content-Length: 2\r\n\r\nok", pause_s=0.05)
    assert (received.count(b"200 OK"), b"<%d>" % size in received, b"<2>" in received) == (2, True, True)
    assert not ended


def test_answers_a_head_that_arrives_byte_by_byte(talk):
    pieces = [bytes([one]) for one in HEAD + b"Content-Length: 2\r\n\r\nok"]
    assert b"<2>" in talk(*pieces)[0]


@pytest.mark.parametrize("pieces", [1, 300])
def test_ends_a_head_that_is_too_long(talk, pieces):
    header = b"X-%d: " % pieces + b"a" * (3 * MOST_HEAD_BYTES // pieces) + b"\r\n"
    received, ended = talk(HEAD, *[header] * pieces)
    assert ended
    assert b"200 OK" not in received


def test_ends_one_header_that_never_ends(talk):
    received, ended = talk(HEAD + b"X: ", *[b"a" * 4096] * 40)
    assert ended
    assert b"200 OK" not in received


@pytest.mark.parametrize("first", [b"", HEAD, HEAD + b"Content-Length: 2\r\n\r\nok" + HEAD])
def test_ends_a_connection_whose_head_does_not_come(talk, monkeypatch, first):
    monkeypatch.setattr(bounded_http, "LONGEST_HEAD_S", 0.2)
    received, ended = talk(first, quiet_s=2.0)
    assert ended
    assert received.count(b"200 OK") == first.count(b"ok")


def test_gives_a_body_the_time_that_it_needs(talk, monkeypatch):
    monkeypatch.setattr(bounded_http, "LONGEST_HEAD_S", 0.1)
    assert b"<2>" in talk(HEAD + b"Content-Length: 2\r\n\r\no", b"k", pause_s=0.3)[0]


@pytest.mark.parametrize("stray", [b"\r\n", b"\n"])
def test_bytes_after_an_answer_that_begin_no_request_do_not_hold_the_connection(talk, monkeypatch, stray):
    monkeypatch.setattr(bounded_http, "LONGEST_HEAD_S", 0.2)
    received, ended = talk(HEAD + b"Content-Length: 2\r\n\r\nok", *[stray] * 5, pause_s=0.05, quiet_s=2.0)
    assert ended
    assert received.count(b"200 OK") == 1


def test_the_unread_rest_of_a_body_does_not_hold_the_connection(talk, monkeypatch):
    monkeypatch.setattr(bounded_http, "LONGEST_HEAD_S", 0.2)
    received, ended = talk(
        HEAD.replace(b"/", b"/unread", 1) + b"Content-Length: 9\r\n\r\n", b"x", pause_s=0.1, quiet_s=2.0
    )
    assert ended
    assert received.count(b"200 OK") == 1


def test_a_request_after_an_empty_line_is_answered(talk, monkeypatch):
    monkeypatch.setattr(bounded_http, "LONGEST_HEAD_S", 0.3)
    request = HEAD + b"Content-Length: 2\r\n\r\n"
    received, _ = talk(request + b"ok", b"\r\n", request + b"o", b"", b"", b"", b"k", pause_s=0.1)
    assert received.count(b"<2>") == 2


@pytest.mark.parametrize("sent", [b"nonsense\r\n\r\n", HEAD + b"X: " + b"a" * 3 * MOST_HEAD_BYTES + b"\r\n\r\n"])
def test_what_is_no_request_is_told_so_as_a_problem_with_safe_headers(talk, sent):
    received, ended = talk(sent)
    head, _, body = received.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().lower().splitlines()[1:])
    assert head.startswith(b"HTTP/1.1 400 ")
    assert ended
    assert json.loads(body)["code"] == "malformed"
    assert json.loads(body)["request_id"] == headers["x-request-id"]
    assert int(headers["content-length"]) == len(body)
    assert headers["connection"] == "close"
    assert SAFE_HEADERS.items() <= headers.items()
