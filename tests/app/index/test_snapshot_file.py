import stat
from datetime import UTC, datetime

import pytest

from app.domain.face import Quality
from app.domain.person import Person, Template
from app.index.exact import ExactIndex
from app.index.follow import FollowedGallery
from app.index.snapshot_file import SnapshotFile
from app.store.memory.store import MemoryStore

KEY = bytes(range(32))
NOW = datetime(2026, 3, 1, tzinfo=UTC)
QUALITY = Quality(0.8, (), 71.5, -3.0, 2.0, 0.5, 0.6, 0.4, 0.0)


@pytest.fixture
def store():
    return MemoryStore()


@pytest.fixture
def reports():
    return []


@pytest.fixture
def enrol_many(store, unit):
    """Enrols p1 with t1, whose vector is unit(1), and so on."""

    def enrol(*seeds):
        with store.write() as uow:
            for seed in seeds:
                uow.people.add(Person(f"p{seed}", "Somebody", NOW, NOW))
                uow.templates.add(Template(f"t{seed}", f"p{seed}", "model", QUALITY, NOW, unit(seed)))
            uow.commit()

    return enrol


@pytest.fixture
def follow(store, tmp_path, reports):
    """A gallery that has just started, as in a process of its own."""

    def start(key=KEY, model="model", folder=tmp_path / "snapshots"):
        opened = []
        snapshots = SnapshotFile(folder, model, key, reports.append)
        gallery = FollowedGallery(Opened(store, opened), ExactIndex, model, reports.append, snapshots)
        gallery.rebuild()
        return gallery, opened

    return start


class Opened:
    """A store that notes which templates' rows were opened."""

    def __init__(self, store, opened):
        self._store, self._opened = store, opened

    def read(self):
        return _Noting(self._store.read(), self._opened)


class _Noting:
    def __init__(self, context, opened):
        self._context, self._opened = context, opened

    def __enter__(self):
        uow = self._context.__enter__()
        of_model, with_ids, opened = uow.templates.of_model, uow.templates.with_ids, self._opened

        def noting_of_model(model_id, **more):
            for template in of_model(model_id, **more):
                opened.append(template.id)
                yield template

        def noting_with_ids(ids, **more):
            found = with_ids(ids, **more)
            opened.extend(template.id for template in found)
            return found

        uow.templates.of_model, uow.templates.with_ids = noting_of_model, noting_with_ids
        return uow

    def __exit__(self, *error):
        return self._context.__exit__(*error)


def found(gallery, vector, k=10):
    return {hit.template_id for hit in gallery.search(vector, k) if hit.similarity > 0.99}


def test_a_second_start_opens_no_row_that_the_snapshot_holds(follow, enrol_many, unit):
    enrol_many(1, 2, 3)
    first, opened = follow()
    assert len(opened) == 3
    assert first.keep_snapshot()
    second, opened = follow()
    assert opened == []
    assert second.size() == first.size() == (3, 3)
    assert found(second, unit(2)) == {"t2"}


def test_what_came_after_the_snapshot_is_read_from_the_rows(follow, enrol_many, unit):
    enrol_many(1, 2)
    follow()[0].keep_snapshot()
    enrol_many(3)
    gallery, opened = follow()
    assert opened == ["t3"]
    assert found(gallery, unit(3)) == {"t3"}


def test_somebody_erased_while_nobody_ran_is_not_found_and_the_snapshot_goes(follow, enrol_many, unit, store, tmp_path):
    enrol_many(1, 2)
    follow()[0].keep_snapshot()
    with store.write() as uow:
        uow.people.erase("p1")
        uow.commit()
    gallery, _ = follow()
    assert found(gallery, unit(1)) == set()
    assert not list((tmp_path / "snapshots").glob("*.index"))


def test_an_erasure_that_is_followed_deletes_the_snapshot_of_every_process(follow, enrol_many, store, tmp_path):
    enrol_many(1, 2)
    gallery, _ = follow()
    elsewhere, _ = follow(folder=tmp_path / "elsewhere")
    assert gallery.keep_snapshot()
    assert elsewhere.keep_snapshot()
    with store.write() as uow:
        uow.people.erase("p1")
        uow.commit()
    for one, folder in ((gallery, "snapshots"), (elsewhere, "elsewhere")):
        assert list((tmp_path / folder).glob("*.index"))
        one.catch_up()
        assert not list((tmp_path / folder).glob("*.index"))


@pytest.mark.parametrize("followed", [False, True], ids=["seen afterwards", "seen at once by another thread"])
def test_an_erasure_while_a_snapshot_is_written_leaves_none_that_holds_the_person(
    follow, enrol_many, store, tmp_path, monkeypatch, followed
):
    enrol_many(1, 2)
    gallery, _ = follow()
    write = SnapshotFile.write

    def erased_meanwhile(self, content):
        with store.write() as uow:
            uow.people.erase("p1")
            uow.commit()
        if followed:
            gallery.catch_up()
        return write(self, content)

    monkeypatch.setattr(SnapshotFile, "write", erased_meanwhile)
    assert not gallery.keep_snapshot()
    assert not list((tmp_path / "snapshots").glob("*.index"))


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b"", lambda b: b[:99] + bytes([b[99] ^ 1]) + b[100:]])
def test_a_damaged_snapshot_is_reported_and_the_rows_are_read(follow, enrol_many, unit, tmp_path, reports, damage):
    enrol_many(1, 2)
    follow()[0].keep_snapshot()
    (path,) = (tmp_path / "snapshots").glob("*.index")
    path.write_bytes(damage(path.read_bytes()))
    gallery, opened = follow()
    assert len(opened) == 2
    assert found(gallery, unit(1)) == {"t1"}
    assert len(reports) == 1
    assert "is not used" in reports[0]


def test_another_key_or_model_does_not_open_it(follow, enrol_many):
    enrol_many(1)
    follow()[0].keep_snapshot()
    assert follow(key=bytes(32))[1] == ["t1"]
    assert follow(model="other")[0].size() == (0, 0)


def test_the_owner_is_read_from_the_row_not_from_the_snapshot(follow, enrol_many, store, unit):
    enrol_many(1, 2)
    follow()[0].keep_snapshot()
    moved = store.committed.templates["t1"]
    with store.write() as uow:
        uow.templates.remove("p1", "t1")
        uow.commit()
    store.committed.templates["t1"] = type(moved)(
        "t1", "p2", moved.model_id, moved.quality, moved.created_at, moved.vector
    )
    gallery, _ = follow()
    assert gallery.size() == (1, 2)


def test_it_is_written_once_for_one_state_and_by_one_process_at_a_time(follow, enrol_many, tmp_path):
    enrol_many(1)
    gallery, _ = follow()
    assert gallery.keep_snapshot()
    (path,) = (tmp_path / "snapshots").glob("*.index")
    written = path.stat().st_mtime_ns
    assert gallery.keep_snapshot()
    assert path.stat().st_mtime_ns == written
    enrol_many(2)
    gallery.catch_up()
    with SnapshotFile(path.parent, "model", KEY, print).alone() as alone:
        assert alone
        assert not gallery.keep_snapshot()
    assert gallery.keep_snapshot()


def test_it_holds_no_vector_in_clear_and_only_its_owner_can_read_it(follow, enrol_many, unit, tmp_path):
    enrol_many(1)
    follow()[0].keep_snapshot()
    (path,) = (tmp_path / "snapshots").glob("*.index")
    assert unit(1).tobytes()[:16] not in path.read_bytes()
    assert b"t1" not in path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_without_a_snapshot_there_is_nothing_to_keep_or_drop(store):
    gallery = FollowedGallery(store, ExactIndex, "model")
    assert gallery.drop_snapshot() == 0
    assert not gallery.keep_snapshot()
