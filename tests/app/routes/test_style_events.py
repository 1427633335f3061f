import asyncio
import json
import time

import pytest

from app.routes import event_stream, style_events
from tests.app.routes.conftest import CONTENT, STYLE


class Stream:
    """A GET of events that is read while it goes on: what came is in `frames`."""

    def __init__(self, service, path, key, headers):
        self.frames, self.status, self.headers, self.ended = [], None, {}, False
        self._service = service
        self._gone = asyncio.Event()
        token = key or service.admin
        raw = [(b"authorization", f"Bearer {token}".encode()), *((k.lower().encode(), v.encode()) for k, v in headers)]
        self._scope = {
            **{"type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1"},
            **{"method": "GET", "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b""},
            **{"headers": raw, "client": ("127.0.0.1", 1), "server": ("onelook.test", 80), "root_path": ""},
        }
        self._task = asyncio.run_coroutine_threadsafe(self._run(), service._loop)

    async def _run(self):
        async def receive():
            await self._gone.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            if message["type"] == "http.response.start":
                self.status = message["status"]
                self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            elif message["body"]:
                self.frames.append(message["body"].decode())

        try:
            await self._service.app(self._scope, receive, send)
        finally:
            self.ended = True

    def leave(self):
        self._service._loop.call_soon_threadsafe(self._gone.set)
        self._task.result(10)

    def until(self, condition):
        deadline = time.monotonic() + 10
        while not condition(self):
            assert time.monotonic() < deadline, self.frames
            time.sleep(0.01)
        return self

    def until_ended(self):
        return self.until(lambda it: it.ended)

    @property
    def text(self):
        return "".join(self.frames)

    @property
    def events(self):
        """(id, name, data) of each event."""
        found = []
        for block in self.text.split("\n\n"):
            lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
            if "event" in lines:
                found.append((int(lines["id"]), lines["event"], json.loads(lines["data"])))
        return found

    @property
    def ids(self):
        return [id_ for id_, _, _ in self.events]


@pytest.fixture
def watch(service):
    made = []

    def begin(path, key="", last=None, on=None):
        headers = [("Accept", "text/event-stream")] + ([] if last is None else [("Last-Event-ID", str(last))])
        made.append(Stream(on or service, f"{path}/events", key, headers))
        return made[-1]

    yield begin
    for one in made:
        one.leave()


def steps(first, last):
    losses = {"total": 3.0, "content": 1.0, "style": 2.0, "per_layer": {}}
    return [
        ("progress", {"step": step, "scale": 1, "losses": losses, "evaluations": step, "steps_per_s": 2.0})
        for step in range(first, last + 1)
    ]


def test_a_stream_tells_everything_in_order_and_ends_with_the_whole_job(service, send, jobs, watch):
    path = send(steps=9).headers["location"]
    stream = watch(path).until(lambda it: it.events)
    assert stream.frames[0] == "retry: 3000\n\n"
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert (stream.headers["cache-control"], stream.headers["x-accel-buffering"]) == ("no-store", "no")
    job = jobs.claim()
    jobs.write(job, [*steps(1, 2), ("warning", {"detail": "mended", "step": 2})], step=2)
    jobs.preview(job, 2)
    stream.until(lambda it: len(it.events) == 5)
    jobs.end(job, metrics={"run_s": 1.0})
    stream.until_ended()
    assert stream.ids == [1, 2, 3, 4, 5, 6]
    assert [name for _, name, _ in stream.events] == [
        "status",
        "progress",
        "progress",
        "warning",
        "preview",
        "completed",
    ]
    by_id = {id_: data for id_, _, data in stream.events}
    assert by_id[1] == {"status": "queued", "attempt": 0, "cancel_asked": False}
    assert (by_id[2]["step"], by_id[2]["steps"], by_id[2]["losses"]["total"]) == (1, 9, 3.0)
    assert by_id[4] == {"detail": "mended", "step": 2}
    assert (by_id[5]["url"], by_id[5]["step"]) == (f"{path}/preview?step=2", 2)
    assert by_id[6] == service.call("GET", path).json()


def test_a_client_that_comes_again_gets_exactly_what_followed(send, jobs, watch):
    path = send(steps=9).headers["location"]
    job = jobs.claim()
    jobs.write(job, steps(1, 6))
    first = watch(path).until(lambda it: len(it.events) == 7)
    first.leave()
    jobs.write(job, steps(7, 8))
    for last in (3, 7, 0):
        again = watch(path, last=last).until(lambda it, last=last: len(it.events) == 9 - last)
        assert again.ids == list(range(last + 1, 10))
        again.leave()
    jobs.end(job)
    assert watch(path, last=9).until_ended().ids == [10]


def test_who_has_the_last_event_of_a_job_that_has_ended_is_told_to_stop(send, jobs, watch):
    path = send().headers["location"]
    waiting = watch(path, last=1)
    job = jobs.claim()
    jobs.end(job)
    assert waiting.until_ended().ids == [2]
    assert watch(path, last=2).until_ended().status == 204
    # Whoever has none of them is told once more.
    assert watch(path).until_ended().ids == [1, 2]
    assert watch(path, last=1).until_ended().ids == [2]


def test_what_was_let_go_is_made_good_by_the_whole_job(service, send, jobs, watch):
    path = send(steps=999).headers["location"]
    job = jobs.claim()
    for step in range(1, 400, 10):
        jobs.write(job, steps(step, step + 9), step=step + 9)
    with service.desk.store.read() as uow:
        pruned, last = uow.style_jobs.get(job.id).pruned, uow.style_jobs.get(job.id).seq
    assert pruned > 100
    for known in (5, None, "x", last + 7, -3):
        stream = watch(path, last=known).until(lambda it: it.ids and it.ids[-1] == last)
        id_, name, data = stream.events[0]
        assert (id_, name, data["id"], data["progress"]["step"]) == (pruned, "reset", job.id, 400)
        assert stream.ids[1:] == list(range(pruned + 1, last + 1))
        stream.leave()
    stream = watch(path, last=pruned).until(lambda it: it.ids and it.ids[-1] == last)
    assert stream.events[0][:2] == (pruned + 1, "progress")


def test_a_comment_keeps_a_quiet_stream_alive(send, watch, monkeypatch):
    monkeypatch.setattr(event_stream, "COMMENT_EVERY_S", 0.05)
    stream = watch(send().headers["location"]).until(lambda it: it.text.count(": still here\n\n") > 1)
    assert stream.ids == [1]


def test_a_key_that_is_revoked_sees_nothing_more(service, send, watch, monkeypatch):
    monkeypatch.setattr(event_stream, "COMMENT_EVERY_S", 0.05)
    key = service.key("style")
    stream = watch(send(key=key).headers["location"], key=key).until(lambda it: it.events)
    service.call("DELETE", f"/keys/{key.split('_')[1]}")
    stream.until_ended()


def test_the_stream_ends_with_the_service(make_service, watch):
    service = make_service()
    files = [("content", ("a", CONTENT)), ("style", ("b", STYLE))]
    path = service.call("POST", "/style-jobs", files=files).headers["location"]
    stream = watch(path, on=service).until(lambda it: it.events)
    began = time.monotonic()
    service.begin_stop().result(20)
    assert stream.until_ended().ids == [1]
    assert time.monotonic() - began < 3


def test_the_stream_ends_with_its_job(service, send, watch):
    path = send().headers["location"]
    stream = watch(path).until(lambda it: it.events)
    service.call("DELETE", path)
    assert stream.until_ended().ids == [1]


def test_a_client_that_leaves_is_let_go(service, send, watch):
    path = send().headers["location"]
    stream = watch(path).until(lambda it: it.events)
    free = service.desk.style_watchers.free
    stream.leave()
    assert service.desk.style_watchers.free == free + 1
    assert service.app.state.gate.running == 0


def test_no_more_watch_than_may(service, send, watch):
    path = send().headers["location"]
    service.desk.style_watchers.free = 1
    watch(path).until(lambda it: it.events)
    refused = watch(path).until_ended()
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")


def test_head_is_refused_and_does_not_hang(service, send):
    answer = service.call("HEAD", f"{send().headers['location']}/events")
    assert answer.status_code == 405


def test_a_client_that_takes_nothing_is_given_up(monkeypatch):
    monkeypatch.setattr(event_stream, "SEND_S", 0.05)

    async def pieces():
        yield event_stream.RETRY

    async def send(message):
        await asyncio.sleep(10)

    async def receive():
        await asyncio.sleep(10)

    async def run():
        stream = event_stream.EventStream(pieces())
        with pytest.raises(event_stream.ClientDisconnect):
            await stream({"type": "http", "asgi": {"spec_version": "2.3"}}, receive, send)

    asyncio.run(asyncio.wait_for(run(), 5))


def test_an_event_is_one_line_whatever_it_says():
    framed = event_stream.Event("warning", {"detail": "two\nlines\r\n: and a colon"}, 7).framed().decode()
    assert framed.splitlines()[0] == "id: 7"
    assert len(framed.splitlines()) == 4
    assert style_events.POLL_S <= 0.5
