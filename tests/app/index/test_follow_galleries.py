"""Galleries, merges and splits as the feed brings them; beside test_follow.py, which is about templates alone."""

import random
import threading
from datetime import UTC, datetime

import pytest

from app.domain.face import Quality
from app.domain.gallery import NamedGallery
from app.domain.identity import MERGE, Before, IdentityChange
from app.domain.person import Person, Template
from app.index import ENGINES, follow
from app.index.follow import FollowedGallery
from app.store.memory.store import MemoryStore
from app.store.migrate import migrate
from app.store.unit_of_work import SqlStore

NOW = datetime(2026, 3, 1, tzinfo=UTC)
QUALITY = Quality(0.9, (), 80, 0, 0, 0, 1, 1, 0)


@pytest.fixture(params=["memory", "sql"])
def store(request, tmp_path):
    if request.param == "memory":
        yield MemoryStore()
        return
    url = f"sqlite:///{tmp_path / 'onelook.db'}"
    migrate(url)
    store = SqlStore(url, request.getfixturevalue("make_vault")())
    yield store
    store.close()


class Office:
    """Writes rows, one change a transaction. Person p<n> has the template t<n>, whose vector has the seed n."""

    def __init__(self, store, unit):
        self.store, self.unit = store, unit

    def __call__(self, work):
        with self.store.write() as uow:
            work(uow)
            return uow.commit()

    def enrol(self, number, *galleries):
        def work(uow):
            uow.people.add(person(f"p{number}"))
            uow.templates.add(Template(f"t{number}", f"p{number}", "model", QUALITY, NOW, self.unit(number)))
            for gallery in galleries:
                uow.galleries.join(gallery, f"p{number}")

        return self(work)

    def open(self, *galleries):
        return self(lambda uow: [uow.galleries.add(NamedGallery(g, g, NOW)) for g in galleries])

    def close(self, gallery):
        return self(lambda uow: uow.galleries.remove(gallery))

    def join(self, gallery, number):
        return self(lambda uow: uow.galleries.join(gallery, f"p{number}"))

    def leave(self, gallery, number):
        return self(lambda uow: uow.galleries.leave(gallery, f"p{number}"))

    def give(self, template, number):
        return self(lambda uow: uow.templates.move([f"t{template}"], f"p{number}"))

    def merge(self, number, into):
        def work(uow):
            theirs = tuple(t.id for t in uow.templates.of(f"p{number}"))
            galleries = uow.galleries.of(f"p{number}")
            uow.templates.move(theirs, f"p{into}")
            joined = tuple(g for g in galleries if uow.galleries.join(g, f"p{into}"))
            uow.people.withdraw(f"p{number}")
            before = Before(person(f"p{number}"), theirs, dict.fromkeys(galleries, NOW), joined)
            uow.identities.add(IdentityChange(f"c{number}", MERGE, f"p{number}", f"p{into}", NOW, before))

        return self(work)

    def part(self, number, from_):
        def work(uow):
            before = uow.identities.get(f"c{number}").before
            uow.people.restore(before.person)
            uow.templates.move(before.templates, f"p{number}")
            for gallery in before.galleries:
                uow.galleries.join(gallery, f"p{number}")
            for gallery in before.joined:
                uow.galleries.leave(gallery, f"p{from_}")

        return self(work)


@pytest.fixture
def office(store, unit):
    return Office(store, unit)


@pytest.fixture
def gallery(store):
    return FollowedGallery(store, ENGINES["flat"], "model")


def person(id_):
    return Person(id_, id_, NOW, NOW)


def held(gallery, unit, *names):
    """Gallery -> ids of the templates that a search in it finds; None where there is none."""
    found = {name: sorted(hit.template_id for hit in gallery.search(unit(0), 1000, name)) for name in names}
    assert {name: gallery.size(name)[1] for name in names} == {name: len(ids) for name, ids in found.items()}
    return found


def in_rows(store):
    """The same as the rows have it, and how many persons these are."""
    with store.read() as uow:
        templates = {t.id: t.person_id for t in uow.templates.of_model("model")}
        members = {"all": set(templates.values())}
        for one in uow.galleries.page(after=None, limit=100):
            members[one.id] = set(uow.galleries.members(one.id, after=None, limit=1000))
    ids = {name: sorted(id_ for id_, owner in templates.items() if owner in who) for name, who in members.items()}
    return ids, {name: len({templates[id_] for id_ in found}) for name, found in ids.items()}


def agrees(gallery, store, unit):
    ids, persons = in_rows(store)
    assert held(gallery, unit, *ids) == ids
    assert {name: gallery.size(name)[0] for name in ids} == persons


def test_members_are_found_in_their_gallery_from_the_next_look_on(office, gallery, unit):
    office.open("a", "b")
    office.enrol(1, "a")
    office.enrol(2)
    gallery.catch_up()
    assert held(gallery, unit, "all", "a", "b") == {"all": ["t1", "t2"], "a": ["t1"], "b": []}
    office.join("a", 2)
    seq = office.join("b", 2)
    assert gallery.catch_up() == seq
    assert held(gallery, unit, "a", "b") == {"a": ["t1", "t2"], "b": ["t2"]}
    office.leave("a", 1)
    gallery.catch_up()
    assert held(gallery, unit, "all", "a", "b") == {"all": ["t1", "t2"], "a": ["t2"], "b": ["t2"]}


def test_a_gallery_that_is_no_more_finds_nobody_and_one_made_anew_only_its_own(office, gallery, unit):
    office.open("a")
    office.enrol(1, "a")
    gallery.catch_up()
    office.close("a")
    gallery.catch_up()
    assert gallery.search(unit(1), 5, "a") == []
    assert gallery.size("a") == (0, 0)
    office.open("a")
    office.enrol(2, "a")
    gallery.catch_up()
    assert held(gallery, unit, "all", "a") == {"all": ["t1", "t2"], "a": ["t2"]}


def test_a_gallery_removed_and_made_again_between_two_looks_keeps_nobody(office, gallery, unit):
    office.open("a")
    office.enrol(1, "a")
    gallery.catch_up()
    office.close("a")
    office.open("a")
    gallery.catch_up()
    assert held(gallery, unit, "a") == {"a": []}
    office.join("a", 1)
    gallery.catch_up()
    assert held(gallery, unit, "a") == {"a": ["t1"]}


@pytest.mark.parametrize("batch", [1, 2, 3, 1000])
def test_memberships_over_the_bounds_of_batches_are_all_there(office, store, gallery, unit, monkeypatch, batch):
    monkeypatch.setattr(follow, "BATCH", batch)
    office.open("a", "b")
    for n in range(7):
        office.enrol(n, *("a", "b")[: n % 3])
    for n in range(0, 7, 3):
        office.join("b", n)
    office.close("a")
    office.open("a")
    for n in range(5):
        office.join("a", n)
    for start in (gallery.catch_up, gallery.rebuild):
        start()
        agrees(gallery, store, unit)


def test_a_template_that_becomes_somebody_elses_is_found_where_that_person_is(office, store, gallery, unit):
    office.open("a", "b")
    office.enrol(1, "a")
    office.enrol(2, "b")
    gallery.catch_up()
    office.give(1, 2)
    gallery.catch_up()
    assert held(gallery, unit, "a", "b") == {"a": [], "b": ["t1", "t2"]}
    agrees(gallery, store, unit)
    # Again before anybody looks, and on to where both changes came from.
    office.give(1, 1)
    office.give(2, 1)
    gallery.catch_up()
    assert held(gallery, unit, "a", "b") == {"a": ["t1", "t2"], "b": []}


def test_nobody_is_missed_for_a_moment_while_two_become_one_and_two_again(office, store, unit):
    missed = []

    class Watched:
        """Looks after each step of a change: t1 and t2 must be in all, and in the gallery of both."""

        def __init__(self):
            self._inner = ENGINES["flat"]()

        def __getattr__(self, name):
            return getattr(self._inner, name)

        def __len__(self):
            return len(self._inner)

        def __contains__(self, id_):
            return id_ in self._inner

        def add(self, ids, vectors):
            self._inner.add(ids, vectors)
            look()

        def remove(self, ids):
            removed = self._inner.remove(ids)
            look()
            return removed

    def look():
        if watching:
            missed.extend(
                (place, n)
                for place in ("all", "both")
                for n in (1, 2)
                if [hit.template_id for hit in gallery.search(unit(n), 1, place)] != [f"t{n}"]
            )

    watching = False
    gallery = FollowedGallery(store, Watched, "model")
    office.open("both", "a")
    office.enrol(1, "both", "a")
    office.enrol(2, "both")
    gallery.catch_up()
    watching = True
    office.merge(1, into=2)
    gallery.catch_up()
    agrees(gallery, store, unit)
    office.part(1, from_=2)
    gallery.catch_up()
    agrees(gallery, store, unit)
    assert missed == []
    assert held(gallery, unit, "a") == {"a": ["t1"]}


def test_whoever_comes_back_is_in_the_galleries_of_that_moment(office, store, gallery, unit):
    office.open("a", "b")
    office.enrol(1, "a", "b")
    office.enrol(2)
    gallery.catch_up()
    office.merge(1, into=2)
    office.close("b")
    gallery.catch_up()
    office.open("b")
    gallery.catch_up()
    office(lambda uow: uow.people.restore(person("p1")))
    office.give(1, 1)
    gallery.catch_up()
    # Who took the place of the one who left stays, and b is another gallery of that name.
    assert held(gallery, unit, "a", "b") == {"a": ["t2"], "b": []}
    agrees(gallery, store, unit)


class History:
    """A random history of an office; what cannot be done at the moment is left out."""

    STEPS = ("enrol", "enrol", "join", "join", "leave", "open", "close", "give", "merge", "restore", "erase")

    def __init__(self, office, seed):
        self.office, self.rng = office, random.Random(seed)
        self.here, self.away, self.names, self.number = [], [], [], 0

    def step(self):
        getattr(self, f"_{self.rng.choice(self.STEPS)}")()

    def _enrol(self):
        self.number += 1
        self.office.enrol(self.number, *self.rng.sample(self.names, self.rng.randint(0, len(self.names))))
        self.here.append(self.number)

    def _open(self):
        if len(self.names) < 3:
            self.names.append(self.rng.choice([name for name in "abc" if name not in self.names]))
            self.office.open(self.names[-1])

    def _close(self):
        if self.names:
            self.office.close(self.names.pop(self.rng.randrange(len(self.names))))

    def _join(self, change="join"):
        if self.names and self.here:
            getattr(self.office, change)(self.rng.choice(self.names), self.rng.choice(self.here))

    def _leave(self):
        self._join("leave")

    def _give(self):
        with self.office.store.read() as uow:
            templates = [t.id for t in uow.templates.of_model("model")]
        if templates and self.here:
            self.office.give(self.rng.choice(templates)[1:], self.rng.choice(self.here))

    def _merge(self):
        if len(self.here) > 1:
            self.away.append(self.here.pop(self.rng.randrange(len(self.here))))
            self.office.merge(self.away[-1], self.rng.choice(self.here))

    def _restore(self):
        if self.away:
            back = self.away.pop()
            self.office(lambda uow: uow.people.restore(person(f"p{back}")))
            # Without the change that took it away it may be erased, and its id given, like any other.
            self.office(lambda uow: uow.identities.mark_undone(f"c{back}", NOW))

    def _erase(self):
        if self.here:
            gone = self.here.pop(self.rng.randrange(len(self.here)))
            self.office(lambda uow: uow.people.erase(f"p{gone}"))
            # Who was merged into somebody erased cannot come back.
            self.away = []


@pytest.mark.parametrize("seed", range(8))
def test_whatever_happens_it_is_as_the_rows_have_it(office, store, unit, monkeypatch, seed):
    monkeypatch.setattr(follow, "BATCH", 4)
    history = History(office, seed)
    now_and_then = FollowedGallery(store, ENGINES["flat"], "model")
    for _ in range(70):
        history.step()
        if history.rng.random() < 0.3:
            now_and_then.catch_up()
            agrees(now_and_then, store, unit)
    for start in ("catch_up", "rebuild"):
        late = FollowedGallery(store, ENGINES["flat"], "model")
        assert getattr(late, start)() == now_and_then.catch_up()
        for one in (now_and_then, late):
            agrees(one, store, unit)


def test_nobody_is_missed_in_a_race_of_searches_with_merges(office, store, unit):
    office.open("both")
    for n in (1, 2, 3):
        office.enrol(n, "both")
    gallery = FollowedGallery(store, ENGINES["flat"], "model")
    gallery.catch_up()
    done, missed, raised = threading.Event(), [], []

    def search():
        try:
            while not done.is_set():
                gallery.catch_up()
                missed.extend(n for n in (1, 2, 3) if gallery.search(unit(n), 1, "both")[0].template_id != f"t{n}")
        except BaseException as e:
            raised.append(e)

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for n in range(40):
            office.give(1 + n % 3, 1 + (n // 3) % 3)
    finally:
        done.set()
        for thread in threads:
            thread.join(30)
    assert (missed, raised) == ([], [])
