"""A cut-over to another model, as an index follows it that may be anywhere in the feed."""

import threading
from datetime import UTC, datetime

import numpy as np
import pytest

from app.domain.face import Quality
from app.domain.model import Embedded, ModelChanged, Served
from app.domain.person import Person, Template
from app.errors import NotReady
from app.index import ENGINES
from app.index.follow import FollowedGallery
from app.index.snapshot_file import SnapshotFile
from app.store.migrate import migrate
from app.store.unit_of_work import SqlStore

NOW = datetime(2026, 3, 1, tzinfo=UTC)
QUALITY = Quality(0.9, (), 80, 0, 0, 0, 1, 1, 0)
OLD, NEW = "model", "model-next"


def unit(seed):
    vector = np.random.default_rng(seed).normal(size=128)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


@pytest.fixture
def stores(tmp_path, make_vault):
    """Two stores on the same rows, as two processes have them."""
    url = f"sqlite:///{tmp_path / 'onelook.db'}"
    migrate(url)
    both = SqlStore(url, make_vault()), SqlStore(url, make_vault())
    with both[0].write() as uow:
        uow.models.serve(Served(OLD))
        uow.commit()
    yield both
    for store in both:
        store.close()


@pytest.fixture
def store(stores):
    return stores[0]


def enrol(store, number, *, embedded=True, model=OLD):
    """Person `p<number>` whose template is unit(number) by that model, and unit(-number) by the next one."""
    with store.write() as uow:
        uow.people.add(Person(f"p{number}", f"Person {number}", NOW, NOW))
        uow.templates.add(Template(f"t{number}", f"p{number}", model, QUALITY, NOW, unit(number)))
        if embedded:
            uow.models.embed(NEW, [Embedded(f"t{number}", unit(number + 1000))])
        uow.commit()


def cut_over(store):
    with store.write() as uow:
        uow.models.cut_over(NEW)
        uow.models.serve(Served(NEW))
        return uow.commit()


def found(gallery, vector, model_id):
    return [hit.template_id for hit in gallery.search(vector, 1, model_id=model_id) if hit.similarity > 0.99]


def test_every_process_follows_before_its_next_search(stores):
    here, there = (FollowedGallery(store, ENGINES["flat"], OLD) for store in stores)
    for number in (1, 2):
        enrol(stores[0], number)
    for gallery in (here, there):
        gallery.rebuild()
    seq = cut_over(stores[0])
    enrol(stores[1], 3, embedded=False, model=NEW)
    for gallery in (there, here):
        assert found(gallery, unit(1), OLD) == ["t1"]
        assert gallery.catch_up() == seq + 1
        assert gallery.served == Served(NEW)
        assert found(gallery, unit(1001), NEW) == ["t1"]
        assert found(gallery, unit(3), NEW) == ["t3"]
        assert gallery.size() == (3, 3)
        with pytest.raises(ModelChanged):
            gallery.search(unit(1), 1, model_id=OLD)


def test_who_was_left_behind_is_held_no_more(store):
    gallery = FollowedGallery(store, ENGINES["flat"], OLD)
    enrol(store, 1)
    enrol(store, 2, embedded=False)
    gallery.catch_up()
    cut_over(store)
    gallery.catch_up()
    assert gallery.size() == (1, 1)
    assert not gallery.holds_any(["t2"])


def test_one_that_starts_after_it_holds_the_new_model(store):
    enrol(store, 1)
    cut_over(store)
    gallery = FollowedGallery(store, ENGINES["flat"], NEW)
    gallery.rebuild()
    assert (gallery.served, found(gallery, unit(1001), NEW)) == (Served(NEW), ["t1"])


def test_what_is_prepared_is_told_and_changes_nothing_that_is_searched(store):
    told = []
    gallery = FollowedGallery(store, ENGINES["flat"], OLD, on_model=told.append)
    enrol(store, 1)
    gallery.catch_up()
    with store.write() as uow:
        uow.models.serve(Served(OLD, NEW))
        uow.commit()
    gallery.catch_up()
    assert (gallery.served, told) == (Served(OLD, NEW), [Served(OLD, NEW)])
    assert found(gallery, unit(1), OLD) == ["t1"]


def test_it_stays_where_it_is_while_the_new_model_cannot_be_had_and_follows_once_it_can(store):
    lacking = [True]

    def go_over(served):
        if lacking:
            raise NotReady("no weights")

    gallery = FollowedGallery(store, ENGINES["flat"], OLD, on_model=go_over)
    enrol(store, 1)
    gallery.catch_up()
    cut_over(store)
    for _ in range(2):
        with pytest.raises(NotReady):
            gallery.catch_up()
        assert gallery.served == Served(OLD)
    lacking.clear()
    gallery.catch_up()
    assert found(gallery, unit(1001), NEW) == ["t1"]


def test_a_cut_over_behind_the_head_that_is_followed_is_followed_with_it(store, monkeypatch):
    """Rows are looked up as they are now: those of a cut-over that the feed tells of later must not go missing."""
    gallery = FollowedGallery(store, ENGINES["flat"], OLD)
    enrol(store, 1)
    gallery.catch_up()
    enrol(store, 2)
    apply = gallery._apply

    def cut_over_first(changes, uow):
        monkeypatch.setattr(gallery, "_apply", apply)
        cut_over(store)
        apply(changes, uow)

    monkeypatch.setattr(gallery, "_apply", cut_over_first)
    gallery.catch_up()
    assert gallery.served == Served(NEW)
    for number in (1, 2):
        assert found(gallery, unit(number + 1000), NEW) == [f"t{number}"]


def test_a_cut_over_while_all_rows_are_read_is_read_again(store, monkeypatch):
    gallery = FollowedGallery(store, ENGINES["flat"], OLD)
    for number in (1, 2):
        enrol(store, number)
    entries, done = gallery._entries, []

    def cut_over_first(uow, model_id):
        if not done:
            done.append(cut_over(store))
        yield from entries(uow, model_id)

    monkeypatch.setattr(gallery, "_entries", cut_over_first)
    gallery.rebuild()
    assert (gallery.served, gallery.size()) == (Served(NEW), (2, 2))


def test_searches_of_many_threads_see_one_model_each(stores):
    gallery = FollowedGallery(stores[0], ENGINES["flat"], OLD)
    for number in range(1, 30):
        enrol(stores[0], number)
    gallery.rebuild()
    wrong, stop = [], threading.Event()

    def search():
        while not stop.is_set():
            for model_id, vector in ((OLD, unit(7)), (NEW, unit(1007))):
                try:
                    hits = found(gallery, vector, model_id)
                except ModelChanged:
                    continue
                if hits != ["t7"]:
                    wrong.append((model_id, hits))
            gallery.catch_up()

    threads = [threading.Thread(target=search) for _ in range(4)]
    for thread in threads:
        thread.start()
    cut_over(stores[1])
    while gallery.served != Served(NEW):
        assert gallery.catch_up()
    stop.set()
    for thread in threads:
        thread.join(10)
    assert wrong == []


def test_no_snapshot_of_the_old_model_stays(store, tmp_path):
    folder = tmp_path / "snapshots"
    snapshots = SnapshotFile(folder, OLD, bytes(32), pytest.fail)
    gallery = FollowedGallery(store, ENGINES["flat"], OLD, pytest.fail, snapshots)
    enrol(store, 1)
    gallery.catch_up()
    assert gallery.keep_snapshot()
    assert [path.name for path in folder.glob("*.index")] == [f"{OLD}.index"]
    cut_over(store)
    gallery.catch_up()
    assert list(folder.glob("*.index")) == []
    assert gallery.keep_snapshot()
    assert [path.name for path in folder.glob("*.index")] == [f"{NEW}.index"]
    again = FollowedGallery(store, ENGINES["flat"], NEW, pytest.fail, SnapshotFile(folder, NEW, bytes(32), pytest.fail))
    again.rebuild()
    assert found(again, unit(1001), NEW) == ["t1"]


def test_snapshots_of_other_models_are_discarded(tmp_path):
    for model in (OLD, NEW, "third"):
        (tmp_path / f"{model}.index").write_bytes(b"sealed")
    snapshots = SnapshotFile(tmp_path, NEW, bytes(32), pytest.fail)
    assert snapshots.discard_others() == 2
    assert [path.name for path in tmp_path.glob("*.index")] == [f"{NEW}.index"]
