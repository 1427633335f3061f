import random
import threading
from collections.abc import Callable
from contextlib import contextmanager
from datetime import UTC, datetime

import numpy as np
import pytest
from sqlalchemy import create_engine, text

from app.domain.face import Quality
from app.domain.person import Person, Template
from app.errors import StoreAway
from app.index import ENGINES, follow
from app.index.follow import FollowedGallery
from app.store.memory.store import MemoryStore
from app.store.migrate import migrate
from app.store.unit_of_work import SqlStore

NOW = datetime(2026, 3, 1, tzinfo=UTC)
QUALITY = Quality(0.9, (), 80, 0, 0, 0, 1, 1, 0)


@pytest.fixture(params=["memory", "sql"])
def stores(request, tmp_path):
    """Two stores on the same rows, as two processes have them; in memory it is one and the same."""
    if request.param == "memory":
        store = MemoryStore()
        yield store, store
        return
    url = f"sqlite:///{tmp_path / 'onelook.db'}"
    migrate(url)
    make_vault = request.getfixturevalue("make_vault")
    both = SqlStore(url, make_vault()), SqlStore(url, make_vault())
    yield both
    for store in both:
        store.close()


@pytest.fixture
def store(stores):
    return stores[0]


@pytest.fixture
def gallery(store):
    return FollowedGallery(store, ENGINES["flat"], "model")


def template(id_: str, person_id: str, vector: np.ndarray, model_id: str = "model") -> Template:
    return Template(id_, person_id, model_id, QUALITY, NOW, vector)


def enrol(store, number: int, vector: np.ndarray, templates: int = 1) -> int:
    """Person `p<number>` with templates `t<number>`, `t<number>.1` and so on; the seq."""
    with store.write() as uow:
        uow.people.add(Person(f"p{number}", f"Person {number}", NOW, NOW))
        for n in range(templates):
            uow.templates.add(template(f"t{number}.{n}" if n else f"t{number}", f"p{number}", vector))
        return uow.commit()


def erase(store, number: int) -> int:
    with store.write() as uow:
        uow.people.erase(f"p{number}")
        return uow.commit()


def found(gallery: FollowedGallery, vector: np.ndarray, k: int = 1) -> list[str]:
    return [hit.template_id for hit in gallery.search(vector, k)]


@pytest.mark.parametrize("start", [FollowedGallery.rebuild, FollowedGallery.catch_up], ids=["rows", "feed"])
def test_holds_what_the_rows_hold_however_it_starts(store, gallery, unit, start, monkeypatch):
    monkeypatch.setattr(follow, "BATCH", 4)
    for n in range(15):
        enrol(store, n, unit(n), templates=1 + n % 2)
    for n in (3, 4, 14):
        seq = erase(store, n)
    assert start(gallery) == gallery.seq == seq
    assert gallery.size() == (12, 12 + 6)
    for n in range(15):
        assert (found(gallery, unit(n))[0].split(".")[0] == f"t{n}") == (n not in (3, 4, 14))


def test_says_nothing_new_when_there_is_nothing_new(gallery):
    assert gallery.catch_up() == gallery.rebuild() == gallery.seq == 0
    assert gallery.size() == (0, 0)
    assert not gallery.holds_any(["t1"])


def test_every_gallery_sees_a_write_at_its_next_look(stores, unit):
    here, there = (FollowedGallery(store, ENGINES["flat"], "model") for store in stores)
    for gallery in (here, there):
        gallery.rebuild()
    for n in range(5):
        seq = enrol(stores[n % 2], n, unit(n))
        for gallery in (here, there):
            assert gallery.catch_up() == seq
            assert found(gallery, unit(n)) == [f"t{n}"]
            assert gallery.size() == (n + 1, n + 1)
    seq = erase(stores[0], 2)
    for gallery in (here, there):
        assert gallery.holds_any(["t9", "t2"])
        assert gallery.catch_up() == seq
        assert not gallery.holds_any(["t9", "t2"])
        assert found(gallery, unit(2)) != ["t2"]
        assert gallery.size() == (4, 4)


def test_holds_only_its_own_model(store, gallery, unit):
    enrol(store, 1, unit(1))
    with store.write() as uow:
        uow.templates.add(template("old", "p1", unit(2), model_id="old"))
        uow.commit()
    for start in (gallery.catch_up, gallery.rebuild):
        start()
        assert gallery.size() == (1, 1)
        assert found(gallery, unit(2), 9) == ["t1"]


def test_counts_a_person_until_the_last_template_is_gone(store, gallery, unit):
    enrol(store, 1, unit(1), templates=2)
    gallery.catch_up()
    assert gallery.size() == (1, 2)
    for template_id, size in (("t1", (1, 1)), ("t1.1", (0, 0))):
        with store.write() as uow:
            assert uow.templates.remove("p1", template_id)
            uow.commit()
        gallery.catch_up()
        assert gallery.size() == size


def test_passes_over_changes_that_concern_no_template(store, gallery, unit):
    enrol(store, 1, unit(1))
    with store.write() as uow:
        uow.people.replace(Person("p1", "New Name", NOW, NOW, revision=2))
        seq = uow.commit()
    assert gallery.catch_up() == seq
    assert gallery.size() == (1, 1)


def test_a_template_whose_row_went_before_its_change_was_applied_does_no_harm(store, gallery, unit, monkeypatch):
    monkeypatch.setattr(follow, "BATCH", 1)
    enrol(store, 1, unit(1))
    erase(store, 1)
    # One change at a time: `add` is applied while the row is gone and `remove` is still to come.
    seq = enrol(store, 2, unit(2))
    assert gallery.catch_up() == seq
    assert gallery.size() == (1, 1)
    assert found(gallery, unit(1), 9) == ["t2"]


def test_follows_a_template_that_is_removed_and_enrolled_again(store, gallery, unit):
    enrol(store, 1, unit(1), templates=2)
    gallery.catch_up()
    with store.write() as uow:
        uow.templates.remove("p1", "t1")
        uow.templates.add(template("t1", "p1", unit(7)))
        uow.commit()
    gallery.catch_up()
    assert found(gallery, unit(7)) == ["t1"]
    assert found(gallery, unit(1)) == ["t1.1"]
    assert gallery.size() == (1, 2)


def test_what_is_written_while_it_rebuilds_is_neither_lost_nor_doubled(store, unit):
    for n in range(3):
        enrol(store, n, unit(n))

    def index_that_is_overtaken():
        # Called after the head was noted and before the rows are read: the worst moment.
        if fresh.once:
            fresh.once = False
            enrol(store, 9, unit(9))
            erase(store, 1)
        return ENGINES["flat"]()

    class fresh:  # noqa: N801
        once = False

    gallery = FollowedGallery(store, index_that_is_overtaken, "model")
    fresh.once = True
    assert gallery.rebuild() == 3
    assert gallery.catch_up() == 6
    assert gallery.size() == (3, 3)
    assert sorted(found(gallery, unit(9), 9)) == ["t0", "t2", "t9"]


def test_a_failure_in_the_middle_is_made_good_by_the_next_look(store, unit):
    class Failing:
        def __init__(self):
            self.inner, self.fails = ENGINES["flat"](), 1
            self.search, self.remove = self.inner.search, self.inner.remove

        def add(self, ids, vectors):
            if self.fails:
                self.fails -= 1
                raise MemoryError
            self.inner.add(ids, vectors)

        def __len__(self):
            return len(self.inner)

    gallery = FollowedGallery(store, Failing, "model")
    seq = enrol(store, 1, unit(1))
    with pytest.raises(MemoryError):
        gallery.catch_up()
    assert gallery.seq == 0
    assert gallery.catch_up() == seq
    assert found(gallery, unit(1)) == ["t1"]
    assert gallery.size() == (1, 1)


class Server:
    """A store as one database server has it: every unit of work tells its epoch."""

    def __init__(self, inner, epoch: int) -> None:
        self.inner, self.number = inner, epoch

    @contextmanager
    def read(self):
        with self.inner.read() as uow:
            uow.changes.epoch = lambda: self.number
            yield uow


@pytest.fixture
def make_server():
    return lambda epoch: Server(MemoryStore(), epoch)


def test_rows_of_a_server_that_was_replaced_are_never_put_back(make_server, unit):
    old, new = make_server(1), make_server(2)
    for number in (1, 2, 3):
        enrol(old.inner, number, unit(number))
    enrol(new.inner, 9, unit(9))
    gallery = FollowedGallery(old, ENGINES["flat"], "model")
    gallery.catch_up()
    gallery._store = new
    gallery.catch_up()
    assert found(gallery, unit(9)) == ["t9"]
    # A thread whose connection still leads to the old one, which answers as if nothing had happened.
    gallery._store = old
    enrol(old.inner, 4, unit(4))
    with pytest.raises(StoreAway):
        gallery.catch_up()
    assert found(gallery, unit(9)) == ["t9"]
    assert gallery.size() == (1, 1)


def test_a_server_that_changes_between_the_head_and_the_feed_is_read_anew(make_server, unit):
    old, new = make_server(1), make_server(2)
    for number in (1, 2, 3):
        enrol(old.inner, number, unit(number))
    gallery = FollowedGallery(old, ENGINES["flat"], "model")
    gallery.catch_up()
    enrol(old.inner, 4, unit(4))
    enrol(new.inner, 9, unit(9))

    class Between:
        """The head is the old server's; everything after it is asked of the new one."""

        @contextmanager
        def read(self):
            with old.read() as before, new.read() as uow:
                server, since, head = old, uow.changes.since, uow.changes.head

                def changed(*arguments):
                    nonlocal server
                    server = new
                    return since(*arguments)

                uow.changes.epoch = lambda: server.number
                uow.changes.since = changed
                uow.changes.head = lambda: before.changes.head() if server is old else head()
                yield uow

    gallery._store = Between()
    gallery.catch_up()
    assert gallery.size() == (1, 1)
    assert found(gallery, unit(9)) == ["t9"]


@pytest.mark.parametrize("start", [FollowedGallery.rebuild, FollowedGallery.catch_up], ids=["rows", "feed"])
def test_one_altered_row_matches_nobody_and_keeps_nobody_else_out(tmp_path, unit, start, vault):
    url = f"sqlite:///{tmp_path / 'onelook.db'}"
    migrate(url)
    store = SqlStore(url, vault)
    for n in range(3):
        enrol(store, n, unit(n))
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE templates SET sealed = zeroblob(540) WHERE id = 't1'"))
    engine.dispose()
    reports = []
    gallery = FollowedGallery(store, ENGINES["flat"], "model", reports.append)
    assert start(gallery) == gallery.seq == 3
    gallery.rebuild()
    assert gallery.size() == (2, 2)
    assert sorted(found(gallery, unit(1), 9)) == ["t0", "t2"]
    assert len(reports) == 1
    assert "t1 " in reports[0]
    assert enrol(store, 7, unit(7)) == gallery.catch_up() == 4
    assert found(gallery, unit(7)) == ["t7"]
    erase(store, 1)
    gallery.catch_up()
    assert gallery.size() == (3, 3)
    store.close()


class Office:
    """Writers that enrol and erase, and readers that hold their gallery to what was acknowledged."""

    def __init__(self, unit: Callable[[int], np.ndarray]) -> None:
        self.unit = unit
        self.lock = threading.Lock()
        self.present: set[int] = set()
        self.leaving: set[int] = set()
        self.gone: set[int] = set()
        self.failures: list[str] = []
        self.done = threading.Event()

    def write(self, store, numbers: range) -> None:
        for number in numbers:
            enrol(store, number, self.unit(number))
            with self.lock:
                self.present.add(number)
            if number % 3 == 0:
                with self.lock:
                    self.leaving.add(number)
                erase(store, number)
                with self.lock:
                    self.gone.add(number)

    def read(self, store, gallery: FollowedGallery, rng: random.Random) -> None:
        while not self.done.is_set():
            with self.lock:
                present, gone = sorted(self.present - self.leaving), sorted(self.gone)
            gallery.catch_up()
            if present:
                self.must_find(rng.choice(present), gallery)
            if gone:
                self.must_not_find(rng.choice(gone), gallery, store)

    def must_find(self, number: int, gallery: FollowedGallery) -> None:
        hits = found(gallery, self.unit(number))
        if hits != [f"t{number}"] and number not in self.leaving:
            self.failures.append(f"missed {number}: {hits}")

    def must_not_find(self, number: int, gallery: FollowedGallery, store) -> None:
        if f"t{number}" in found(gallery, self.unit(number), 5) or gallery.holds_any([f"t{number}"]):
            self.failures.append(f"found the erased {number}")
        with store.read() as uow:
            if uow.people.owners([f"t{number}"]):
                self.failures.append(f"the erased {number} has an owner")


def test_nothing_acknowledged_is_missed_and_nothing_erased_is_found_in_a_race(stores, unit):
    office = Office(unit)
    galleries = [FollowedGallery(store, ENGINES["flat"], "model") for store in stores]
    pairs = [*zip(stores, galleries, strict=True)] * 2
    run_all(
        [lambda s=s, a=a: office.write(s, range(a, a + 40)) for a, s in ((100, stores[0]), (200, stores[1]))],
        [lambda s=s, g=g, n=n: office.read(s, g, random.Random(n)) for n, (s, g) in enumerate(pairs)],
        office.done,
    )
    assert office.failures == []
    left = office.present - office.gone
    assert len(office.gone) == 26
    assert len(left) == 80 - 26
    for gallery in galleries:
        gallery.catch_up()
        assert gallery.size() == (len(left), len(left))
        assert all(found(gallery, unit(number)) == [f"t{number}"] for number in left)


def run_all(writers: list[Callable[[], None]], readers: list[Callable[[], None]], done: threading.Event) -> None:
    """Runs all at once; tells the readers when the writers have ended. What a thread raises fails the test."""
    raised: list[BaseException] = []

    def guarded(step: Callable[[], None]) -> None:
        try:
            step()
        except BaseException as e:
            raised.append(e)

    writing = [threading.Thread(target=guarded, args=(step,)) for step in writers]
    reading = [threading.Thread(target=guarded, args=(step,)) for step in readers]
    for thread in writing + reading:
        thread.start()
    for thread in writing:
        thread.join(60)
    done.set()
    for thread in reading:
        thread.join(60)
    assert raised == []
