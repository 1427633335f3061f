import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from app.actions.enroll import Enrolment
from app.actions.identify import Question
from app.actions.merge import Merge
from app.actions.people import found
from app.clock import RandomIdentifiers
from app.domain.audit import AuditFilter
from app.domain.gallery import NamedGallery
from app.domain.identity import MERGE
from app.errors import Erased, InvalidField, Merged, OutOfScope, PersonExists, UnknownPerson
from app.index.exact import ExactIndex
from app.index.follow import FollowedGallery
from app.store.migrate import migrate
from app.store.unit_of_work import SqlStore


@pytest.fixture
def merge(store, gallery, clock, identifiers):
    return Merge(store, gallery, clock, identifiers)


@pytest.fixture
def galleries(store, clock):
    with store.write() as uow:
        for id_ in ("lab", "shop", "yard"):
            uow.galleries.add(NamedGallery(id_, id_, clock.now()))
        uow.commit()


@pytest.fixture
def two(enrolled, galleries):
    """ann in lab and yard, bob in shop and yard."""
    return enrolled("ann", galleries=("lab", "yard"), consent="asked"), enrolled("bob", galleries=("shop", "yard"))


def of(store, person_id):
    with store.read() as uow:
        return [t.id for t in uow.templates.of(person_id)], uow.galleries.of(person_id)


def test_everything_of_the_one_becomes_the_others(two, merge, store, clock):
    (templates, _), (others, _) = of(store, "ann"), of(store, "bob")
    clock.move(days=1)
    done = merge("ann", "bob")
    assert of(store, "bob") == ([*templates, *others], ("lab", "shop", "yard"))
    assert of(store, "ann") == ([], ())
    assert [one.person for one in done.persons] == [two[1]]
    assert done.persons[0].galleries == ("lab", "shop", "yard")
    change = done.change
    assert (change.kind, change.person_id, change.other_id, change.made_at) == (MERGE, "ann", "bob", clock.now())
    with store.read() as uow:
        assert uow.identities.get(change.id) == change
        assert uow.people.get("ann") is None
        assert uow.people.get("bob") == two[1]
        assert done.index_seq == uow.changes.head()


def test_both_faces_are_the_other_from_the_next_look_on(two, merge, identify, pictures):
    merge("ann", "bob")
    for face, where in (("ann", "all"), ("ann", "shop"), ("bob", "lab"), ("bob", "yard")):
        (answer,) = identify(pictures.of(face), Question(gallery=where)).answers
        assert answer.decision.candidate.person.id == "bob"


def test_the_merged_id_leads_to_the_other_and_stays_taken(two, enrolled, merge, store):
    merge("ann", "bob")
    with store.read() as uow:
        with pytest.raises(Merged) as e:
            found(uow, "ann")
        assert e.value.into == "bob"
    with pytest.raises(PersonExists):
        enrolled("ann", image=None)


def test_a_merge_of_a_merge_leads_to_where_everything_is(two, enrolled, merge, store):
    enrolled("cid")
    merge("ann", "bob")
    merge("bob", "cid")
    with pytest.raises(Merged) as e:
        merge("ann", "cid")
    assert e.value.into == "cid"
    assert len(of(store, "cid")[0]) == 3


def test_when_the_one_was_seen_counts_for_the_other(two, merge, store, clock):
    now = clock.now()
    with store.write() as uow:
        uow.sightings.note({"ann": now + timedelta(days=2), "bob": now})
        uow.commit()
    merge("ann", "bob")
    with store.read() as uow:
        assert uow.sightings.last("bob") == now + timedelta(days=2)


def test_it_is_written_in_the_trail_of_the_other(two, merge, store):
    done = merge("ann", "bob")
    with store.read() as uow:
        (record,) = uow.audit.page(AuditFilter(action="person.merged"), before=None, limit=5)
    assert (record.person_id, record.line.facts) == ("bob", {"templates": 1})
    assert record.private == {"change": done.change.id}
    assert "ann" not in str(record.line.facts)


@pytest.mark.parametrize(
    ("pair", "error"),
    [
        (("ann", "ann"), InvalidField),
        (("ann", "nobody"), UnknownPerson),
        (("nobody", "ann"), UnknownPerson),
        (("ann", "../x"), UnknownPerson),
        (("gone", "ann"), Erased),
        (("ann", "gone"), Erased),
    ],
)
def test_refuses_what_cannot_be_merged_and_changes_nothing(two, enrolled, erase, merge, store, pair, error):
    enrolled("gone")
    erase("gone")
    before = store.committed
    with pytest.raises(error):
        merge(*pair)
    assert store.committed is before


def test_who_opted_out_of_faces_is_not_merged_into_who_did_not(two, merge, change, store):
    change(two[0], face_opt_out=True)
    for pair in (("ann", "bob"), ("bob", "ann")):
        with pytest.raises(InvalidField):
            merge(*pair)
    change(two[1], face_opt_out=True)
    assert len(merge("ann", "bob").change.before.templates) == 1


def test_who_is_bound_gives_nobody_more_than_it_may(two, enrolled, merge, store):
    enrolled("mal", galleries=("lab",))
    before = store.committed
    with pytest.raises(UnknownPerson):
        merge("bob", "mal", within=frozenset({"lab"}))
    # ann may open the yard too: a face that is given to her could.
    for pair in (("mal", "ann"), ("ann", "mal")):
        with pytest.raises(OutOfScope):
            merge(*pair, within=frozenset({"lab"}))
    assert store.committed is before
    merge("mal", "ann", within=frozenset({"lab", "yard"}))
    assert len(of(store, "ann")[0]) == 2


def test_it_is_stored_though_the_index_cannot_follow(two, merge, store, lagging, reports):
    replace(merge, gallery=lagging(0), report=reports.append)("ann", "bob")
    assert (len(of(store, "bob")[0]), len(reports)) == (2, 1)


@pytest.fixture
def stores(tmp_path, make_vault):
    """Two on one database, as two processes have them."""
    url = f"sqlite:///{tmp_path / 'onelook.db'}"
    migrate(url)
    both = SqlStore(url, make_vault(), write_timeout_s=20), SqlStore(url, make_vault(), write_timeout_s=20)
    yield both
    for store in both:
        store.close()


class Rivals:
    """Two processes that merge the same pairs of persons, each the other way round, at the same moment."""

    def __init__(self, stores, galleries, clock, pairs):
        self.actions = [Merge(s, g, clock, RandomIdentifiers()) for s, g in zip(stores, galleries, strict=True)]
        self.pairs, self.meet = pairs, threading.Barrier(2)
        self.kept, self.faults = {}, []

    def run(self):
        threads = [threading.Thread(target=self._run, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)

    def _run(self, number):
        for pair in self.pairs:
            one, other = pair if number == 0 else reversed(pair)
            self.meet.wait(20)
            try:
                done = self.actions[number](one, other)
            except Merged:
                continue
            except Exception as e:
                self.faults.append(e)
            else:
                self.kept.setdefault(pair, []).append(done.change.other_id)


def test_of_two_that_merge_each_other_at_once_one_is_left(stores, clock, enroll, pictures):
    galleries = [FollowedGallery(store, ExactIndex, "model-a") for store in stores]
    enroll = replace(enroll, store=stores[0], gallery=galleries[0])
    pairs = [(f"a{n}", f"b{n}") for n in range(20)]
    for person_id in (id_ for pair in pairs for id_ in pair):
        enroll(pictures.of("face"), Enrolment("x", person_id=person_id, on_duplicate="allow"))
    rivals = Rivals(stores, galleries, clock, pairs)
    rivals.run()
    assert rivals.faults == []
    assert sorted(rivals.kept) == sorted(pairs)
    for pair, (kept,) in rivals.kept.items():
        (gone,) = set(pair) - {kept}
        assert (len(of(stores[1], kept)[0]), of(stores[1], gone)) == (2, ([], ()))
        with stores[0].read() as uow:
            assert (uow.people.get(gone), uow.identities.went_to(gone)) == (None, kept)
    for gallery in galleries:
        gallery.catch_up()
        assert gallery.size() == (20, 40)
