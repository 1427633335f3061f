import asyncio
import dataclasses
import stat
import threading
import time

import numpy as np
import pytest

from app.assembly.parts import build_parts, open_store
from app.clock import RandomIdentifiers, SystemClock
from app.domain.face import Quality
from app.domain.person import Person, Template
from app.errors import Misconfigured
from app.settings import Settings
from models.errors import WeightsError


def test_the_first_start_makes_an_admin_key_that_only_we_can_read_and_prints_it_once(make_service, settings, capfd):
    service = make_service()
    path = settings.home / "admin.key"
    key = path.read_text().strip()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(settings.home.stat().st_mode) == 0o700
    assert service.call("GET", "/keys", key=key).status_code == 200
    assert capfd.readouterr().err.count(key) == 1
    assert key.rsplit("_", 1)[1] not in service.log.getvalue()


def test_a_later_start_makes_none(make_service, settings, capfd):
    make_service()
    before = (settings.home / "admin.key").read_text()
    capfd.readouterr()
    make_service()
    assert (settings.home / "admin.key").read_text() == before
    assert capfd.readouterr().err == ""


def test_finds_at_a_start_what_was_enrolled_before(make_service, enrolled, pictures):
    enrolled("ann")
    assert make_service().photo("/identify", pictures.of("ann")).json()["person"]["id"] == "ann"


class SlowGallery:
    def __init__(self, gallery, rebuild):
        self._gallery, self.rebuild = gallery, rebuild

    def __getattr__(self, name):
        return getattr(self._gallery, name)


def with_gallery(parts, rebuild):

    return dataclasses.replace(parts, gallery=SlowGallery(parts.gallery, rebuild))


def wait_until(condition):
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_is_alive_and_not_ready_while_the_index_is_filled(make_service, parts, gallery, pictures):
    go = threading.Event()
    service = make_service(start=False, parts=with_gallery(parts, lambda: go.wait(5) and gallery.rebuild()))
    assert service.call("GET", "/health/live", key=None).status_code == 200
    assert service.call("GET", "/health/ready", key=None).status_code == 503
    service.start(wait=False)
    assert service.call("GET", "/health/ready").json()["checks"] == {"service": "filling"}
    answer = service.photo("/identify", pictures.of("ann"))
    assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
    assert int(answer.headers["retry-after"]) > 0
    assert service.call("GET", "/docs", key=None).status_code == 200
    go.set()
    wait_until(lambda: service.app.state.gate.phase == "ready")
    assert service.call("GET", "/health/ready", key=None).status_code == 200


def test_tries_again_when_the_index_cannot_be_filled(make_service, parts, gallery):
    outcomes = iter([RuntimeError("secret-thing"), None])

    def rebuild():
        if outcome := next(outcomes):
            raise outcome
        return gallery.rebuild()

    service = make_service(start=False, parts=with_gallery(parts, rebuild))
    service.start()
    log = service.log.getvalue()
    assert "the index cannot be filled" in log
    assert "secret-thing" not in log


def test_a_stop_lets_running_work_finish_and_takes_no_more(make_service, pictures, reader, parts):

    closed = []
    service = make_service(parts=dataclasses.replace(parts, close=lambda: closed.append(True)))
    image, key = pictures.of("ann"), service.admin
    reading, go = threading.Event(), threading.Event()

    def wait():
        reading.set()
        assert go.wait(5)

    reader.before_reading = wait
    answers = []
    running = threading.Thread(target=lambda: answers.append(service.photo("/detect", image, key=key)))
    running.start()
    assert reading.wait(5)
    stopping = service.begin_stop()
    wait_until(lambda: service.app.state.gate.phase == "stopping")
    refused = service.call("GET", "/info", key=key)
    assert (refused.status_code, refused.json()["code"]) == (503, "shutting_down")
    assert refused.headers["retry-after"]
    assert service.call("GET", "/health/ready", key=None).json()["code"] == "shutting_down"
    assert not closed
    go.set()
    running.join(5)
    stopping.result(5)
    assert [answer.status_code for answer in answers] == [200]
    assert closed == [True]
    assert '"everything_finished": true' in service.log.getvalue()


def test_a_stop_waits_no_longer_than_the_grace(make_service, settings, pictures, reader):
    service = make_service(settings.model_copy(update={"shutdown_grace_s": 0.05}))
    image, key = pictures.of("ann"), service.admin
    reading, go = threading.Event(), threading.Event()

    def wait():
        reading.set()
        assert go.wait(5)

    reader.before_reading = wait
    running = threading.Thread(target=lambda: service.photo("/detect", image, key=key))
    running.start()
    assert reading.wait(5)
    service.begin_stop().result(5)
    assert '"everything_finished": false' in service.log.getvalue()
    go.set()
    running.join(5)


def test_more_pictures_than_threads_are_told_busy_at_once(make_service, pictures, reader, settings):
    service = make_service(settings.model_copy(update={"inference_queue": 1}))
    threads = service.desk.pictures.threads
    image, key = pictures.of("ann"), service.admin
    go = threading.Event()
    reader.before_reading = lambda: go.wait(10)
    running = [
        threading.Thread(target=service.photo, args=("/detect", image), kwargs={"key": key}) for _ in range(threads)
    ]
    for one in running:
        one.start()
    wait_until(lambda: service.desk.pictures.free == 0)
    answer = service.photo("/detect", image, key=key)
    go.set()
    for one in running:
        one.join(5)
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "busy", "1")


def test_refuses_to_start_on_a_database_that_is_none(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(Misconfigured):
        build_parts(Settings(home=tmp_path, database_url=f"sqlite:///{tmp_path / 'folder'}"))


def test_ids_sort_by_time_and_do_not_repeat():
    ids = RandomIdentifiers()
    first = ids.new("per")
    time.sleep(0.002)
    later = [ids.new("per") for _ in range(1000)]
    assert len(set(later)) == 1000
    assert all(first < id_ for id_ in later)
    assert len(first) == len("per_") + 20
    assert len(ids.secret()) >= 43
    assert SystemClock().now().utcoffset().total_seconds() == 0


def stored_template(settings):
    """A home with one person of one template, sealed with the home's key."""
    now = SystemClock().now()
    store = open_store(settings)
    with store.write() as uow:
        uow.people.add(Person("p", "P", now, now))
        quality = Quality(0.9, (), 80, 0, 0, 0, 1, 1, 0)
        uow.templates.add(Template("t", "p", "model", quality, now, np.eye(1, 128, dtype=np.float32)[0]))
        uow.commit()
    store.close()
    return settings.home / "keys" / "master.key"


def test_refuses_to_start_without_the_key_of_what_is_stored(settings):
    path = stored_template(settings)
    key = path.read_bytes()
    path.unlink()
    with pytest.raises(Misconfigured, match=r"put keys/master\.key back"):
        open_store(settings)
    assert not path.exists()
    path.touch(0o600)
    path.write_bytes(b"k" * 32)
    with pytest.raises(Misconfigured, match="not the key"):
        open_store(settings)
    path.write_bytes(key)
    open_store(settings).close()


def test_weights_that_cannot_be_used_are_misconfigured(settings, monkeypatch):
    def reader(**options):
        raise WeightsError("onelook.safetensors is missing: install the distribution again")

    monkeypatch.setattr("app.assembly.parts.NetworkFaceReader", reader)
    with pytest.raises(Misconfigured, match=r"onelook\.safetensors is missing"):
        build_parts(settings)


def test_writers_that_wait_keep_nobody_from_reading_and_further_ones_are_told_busy(service):
    key, go = service.admin, threading.Event()

    async def crowd():
        most = service.desk.writes.threads
        writers = [asyncio.create_task(service.desk.on_writes(go.wait, 10)) for _ in range(most)]
        while service.desk.writes.free:
            await asyncio.sleep(0.001)
        return writers

    async def gather(writers):
        return await asyncio.gather(*writers)

    writers = service.run(crowd())
    try:
        assert service.call("GET", "/keys", key=key).status_code == 200
        assert service.call("GET", "/health/ready", key=key).status_code == 200
        large = service.photo("/detect", b"x" * 2_000_000, key=key)
        assert large.json()["code"] == "unreadable_image"
        answer = service.call("POST", "/keys", key=key, json={"name": "one more", "scopes": ["detect"]})
        assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "busy", "1")
    finally:
        go.set()
        service.run(gather(writers))
    answer = service.call("POST", "/keys", key=key, json={"name": "one more", "scopes": ["detect"]})
    assert answer.status_code == 201


@pytest.mark.slow
def test_searches_in_the_database_where_that_is_chosen_and_leaves_no_vector_there_where_it_is_not(
    make_service, settings, postgres_server, postgres_url
):
    name = "chosen"
    postgres_server.do(f"CREATE DATABASE {name} OWNER onelook")
    postgres_server.do("CREATE EXTENSION vector", name)
    chosen = settings.model_copy(
        update={"database_url": postgres_server.url(name, user="onelook"), "search": "pgvector", "inference_lanes": 1}
    )

    def rows():
        return postgres_server.do("SELECT to_regclass('template_vectors')::text", name)[0][0]

    try:
        left = settings.home / "snapshots"
        parts = build_parts(chosen.model_copy(update={"search": "faiss"}))
        assert parts.gallery.keep_snapshot()
        parts.close()
        assert list(left.glob("*.index"))
        parts = build_parts(chosen)
        assert not list(left.glob("*.index"))
        service = make_service(chosen, parts=parts)
        body = service.call("GET", "/info").json()
        assert body["vectors_in_clear"] is True
        assert body["search"].startswith("pgvector")
        with parts.store.write() as uow:
            now = SystemClock().now()
            uow.people.add(Person("p1", "Ann", now, now))
            quality = Quality(0.9, (), 80, 0, 0, 0, 1, 1, 0)
            vector = np.eye(128, dtype=np.float32)[0]
            uow.templates.add(Template("t1", "p1", parts.reader.model_id, quality, now, vector))
            uow.commit()
        assert service.call("GET", "/info").json()["galleries"] == [{"id": "all", "persons": 1, "templates": 1}]
        assert [hit.template_id for hit in parts.gallery.search(vector, 1)] == ["t1"]
        service.begin_stop().result(20)
        assert rows() == "template_vectors"
        again = chosen.model_copy(update={"search": "faiss"})
        parts = build_parts(again)
        # A verb makes the same parts, and leaves the table of a service alone.
        assert rows() == "template_vectors"
        service = make_service(again, parts=parts)
        body = service.call("GET", "/info").json()
        assert body["vectors_in_clear"] is False
        assert body["search"].startswith("faiss")
        assert body["galleries"] == [{"id": "all", "persons": 1, "templates": 1}]
        assert rows() is None
        service.begin_stop().result(20)
    finally:
        postgres_server.do(f"DROP DATABASE {name} WITH (FORCE)")
