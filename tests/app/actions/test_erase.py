import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import pytest

from app.actions.enroll import Enrolment
from app.actions.erase import Erase, FindReceipt, SeenSince
from app.actions.people import FindPerson
from app.actions.style.claim import ClaimStyle
from app.actions.style.run import RunStyle
from app.actions.style.submit import Submission, SubmitStyle
from app.domain.audit import AuditFilter
from app.errors import Busy, Erased, PersonExists, SealBroken, UnknownErasure, UnknownPerson
from app.index import durable
from app.index.exact import ExactIndex
from app.index.follow import FollowedGallery
from app.index.snapshot_file import SnapshotFile


def test_removes_rows_and_index_and_proves_it(enrolled, erase, store, gallery, pictures, clock):
    enrolled("ann")
    enrolled("bob")
    receipt = erase("ann")
    assert (receipt.person_id, receipt.erased_at, receipt.search_missed) == ("ann", clock.now(), True)
    assert (receipt.removed["templates"], receipt.removed["index_rows"], receipt.removed["photos"]) == (1, 1, 0)
    assert receipt.index_seq == gallery.seq
    assert gallery.size() == (1, 1)
    with store.read() as uow:
        assert uow.people.get("ann") is None
        assert uow.templates.of("ann") == []
        assert uow.erasures.get("ann") == receipt


def test_the_receipt_is_found_again_by_either_id(enrolled, erase, store):
    enrolled("ann")
    receipt = erase("ann")
    find = FindReceipt(store)
    assert find(receipt.id) == find("ann") == receipt


@pytest.mark.parametrize("id_", ["era_none", "", "\0"])
def test_there_is_no_receipt_of_what_never_was(store, id_):
    with pytest.raises(UnknownErasure):
        FindReceipt(store)(id_)


def test_a_second_erasure_says_that_it_is_done_already(enrolled, erase, store):
    enrolled("ann")
    first = erase("ann")
    with pytest.raises(Erased) as refusal:
        erase("ann")
    assert refusal.value.person_id == "ann"
    with store.read() as uow:
        assert uow.erasures.get("ann") == first


def test_of_two_at_once_one_gets_the_receipt(enrolled, erase):
    enrolled("ann")
    start = threading.Barrier(2)

    def attempt(_):
        start.wait()
        try:
            return erase("ann").search_missed
        except Erased:
            return "erased"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(map(str, pool.map(attempt, range(2)))) == ["True", "erased"]


def test_the_id_stays_taken(enrolled, erase, enroll, pictures):
    enrolled("ann")
    erase("ann")
    with pytest.raises(PersonExists):
        enroll(pictures.of("ann"), Enrolment("Ann", person_id="ann"))


def test_an_erased_person_is_told_from_one_who_never_was(enrolled, erase, store):
    enrolled("ann")
    receipt = erase("ann")
    find = FindPerson(store)
    with pytest.raises(Erased):
        find("ann")
    for never in ("bob", receipt.id, "\0", "x" * 5000):
        with pytest.raises(UnknownPerson) as refusal:
            find(never)
        assert not isinstance(refusal.value, Erased)


class SealedShut:
    """A store whose templates cannot be opened."""

    def __init__(self, store):
        self._store = store

    @contextmanager
    def read(self):
        with self._store.read() as uow:
            yield self._broken(uow)

    @contextmanager
    def write(self):
        with self._store.write() as uow:
            yield self._broken(uow)

    @staticmethod
    def _broken(uow):
        def refuse(_):
            raise SealBroken

        uow.templates.of = refuse
        return uow


def test_a_person_whose_template_cannot_be_opened_is_erased_without_a_proof(enrolled, erase, store):
    enrolled("ann")
    receipt = dataclasses.replace(erase, store=SealedShut(store))("ann")
    assert receipt.search_missed is None
    assert receipt.removed["templates"] == 1
    with store.read() as uow:
        assert uow.people.get("ann") is None
        assert uow.templates.count() == 0


@pytest.mark.parametrize(("works", "index_rows"), [(0, 0), (1, 1)])
def test_a_proof_that_cannot_run_is_null_and_the_rows_are_gone_all_the_same(
    enrolled, erase, store, lagging, reports, works, index_rows
):
    enrolled("ann")
    receipt = dataclasses.replace(erase, gallery=lagging(works))("ann")
    assert (receipt.search_missed, receipt.removed["index_rows"]) == (None, index_rows)
    assert any("could not run" in report for report in reports)
    with store.read() as uow:
        assert uow.people.get("ann") is None
        assert uow.erasures.get("ann") == receipt


@pytest.mark.parametrize("still", ["found", "held"])
def test_a_person_who_is_still_found_or_held_is_told_and_reported(enrolled, erase, gallery, pictures, reports, still):
    enrolled("ann")

    class Stubborn:
        catch_up, drop_snapshot, served = gallery.catch_up, gallery.drop_snapshot, gallery.served

        def search(self, vector, k, among="all", *, model_id=None):
            return kept if still == "found" else []

        def holds_any(self, ids):
            return still == "held"

    kept = gallery.search(pictures.axis("ann"), 1)
    assert dataclasses.replace(erase, gallery=Stubborn())("ann").search_missed is False
    assert reports == ["an erased person's templates are still in the index"]


class WritesOnce:
    """A store that is busy from the second transaction on."""

    def __init__(self, store):
        self._store, self._written = store, False
        self.read = store.read

    def write(self):
        if self._written:
            raise Busy
        self._written = True
        return self._store.write()


def test_a_proof_that_cannot_be_stored_is_null_and_the_receipt_is_given_all_the_same(enrolled, erase, store, reports):
    enrolled("ann")
    receipt = dataclasses.replace(erase, store=WritesOnce(store))("ann")
    assert receipt.search_missed is None
    assert reports == ["the proof of an erasure could not be stored: Busy"]
    with store.read() as uow:
        assert uow.people.get("ann") is None
        assert receipt.index_seq == uow.changes.head() == 3
        assert uow.erasures.get("ann") == receipt


def test_the_receipt_counts_the_keys_that_are_destroyed(enrolled, erase, store):
    enrolled("ann")
    for purpose in ("template", "trail"):
        store.vault.key("ann", purpose)
    receipt = erase("ann")
    assert (receipt.removed["keys"], receipt.search_missed) == (2, True)
    with store.read() as uow:
        assert uow.people.keys("ann") == 0
        assert uow.erasures.get("ann").removed["keys"] == 2


def test_an_erasure_whose_keys_are_still_there_is_not_proved(enrolled, erase, store, reports, monkeypatch):
    enrolled("ann")
    store.vault.key("ann", "template")
    monkeypatch.setattr(store.vault, "shred", lambda *person_ids, **more: None)
    assert erase("ann").search_missed is None
    assert reports == ["the keys of an erased person are still there: the next erasure or start destroys them"]


def test_nor_is_one_whose_keys_cannot_be_looked_for(enrolled, erase, store, reports, monkeypatch):
    enrolled("ann")
    counted = iter([0])
    monkeypatch.setattr(store.vault, "count", lambda person_id: next(counted))
    assert erase("ann").search_missed is None
    assert [report for report in reports if "keys could not be looked for" in report]


@pytest.fixture
def kept(store, tmp_path, erase):
    """Erases with a gallery of which a snapshot was kept; the folder of the snapshots."""

    def keep():
        snapshots = SnapshotFile(tmp_path / "snapshots", "model-a", bytes(32), pytest.fail)
        gallery = FollowedGallery(store, ExactIndex, "model-a", erase.report, snapshots)
        gallery.rebuild()
        assert gallery.keep_snapshot()
        return dataclasses.replace(erase, gallery=gallery), tmp_path / "snapshots"

    return keep


def test_the_receipt_counts_the_snapshot_that_is_deleted(enrolled, kept, store):
    enrolled("ann")
    enrolled("bob")
    erase, folder = kept()
    receipt = erase("ann")
    assert list(folder.glob("*.index")) == []
    assert (receipt.removed["snapshots"], receipt.search_missed) == (1, True)
    with store.read() as uow:
        assert uow.erasures.get("ann") == receipt
        (row,) = uow.audit.page(AuditFilter(action="person.erased"), before=None, limit=9)
    assert "snapshots" not in row.line.facts["removed"]
    assert erase("bob").removed["snapshots"] == 0


def test_an_erasure_whose_snapshot_cannot_be_deleted_is_not_proved(enrolled, kept, store, reports, monkeypatch):
    enrolled("ann")
    erase, folder = kept()

    def refuse(path):
        raise PermissionError

    monkeypatch.setattr(durable, "remove", refuse)
    receipt = erase("ann")
    assert (receipt.removed["snapshots"], receipt.search_missed) == (0, None)
    assert "a snapshot that may hold an erased person cannot be deleted: PermissionError" in reports
    assert len(list(folder.glob("*.index"))) == 1
    with store.read() as uow:
        assert uow.people.get("ann") is None
        assert uow.erasures.get("ann") == receipt


def test_erases_nobody_who_was_seen_since(enrolled, erase, store, clock):
    enrolled("ann")
    with pytest.raises(SeenSince):
        erase("ann", unseen_since=clock.now())
    with store.read() as uow:
        assert uow.people.get("ann") is not None
    assert erase("ann", unseen_since=clock.now() + timedelta(microseconds=1)).search_missed


def test_the_receipt_counts_kept_crops_and_none_stays(enroll, erase, pictures, store):
    keeping = dataclasses.replace(enroll, keep_crops=True)
    keeping(pictures.of("ann"), Enrolment("Ann", "ann"))
    keeping(pictures.of("bob"), Enrolment("Bob", "bob"))
    assert erase("ann").removed["crops"] == 1
    with store.read() as uow:
        assert uow.crops.count() == 1
        assert list(uow.crops.of("bob"))


@pytest.fixture
def rendered(store, style_files, renderer, identifiers):
    """Asks for a render of somebody."""
    submit = SubmitStyle(store, style_files, renderer, identifiers, timedelta(days=1), 5)
    return lambda person_id: submit(Submission(b"content", [b"style"], {}, person_id), "k1").id


@pytest.fixture
def erase_renders(store, gallery, clock, identifiers, reports, style_files):
    return Erase(store, gallery, clock, identifiers, reports.append, style_files=style_files)


def test_renders_of_the_person_go_with_their_files_and_the_others_stay(
    enrolled, rendered, erase_renders, store, style_files
):
    for who in ("ann", "bob"):
        enrolled(who)
    ids = [rendered("ann"), rendered("bob"), rendered("ann"), rendered(None)]
    style_files.put(ids[0], "1/preview-1", b"of ann")
    receipt = erase_renders("ann")
    assert (receipt.removed["style_files"], receipt.search_missed) == (5, True)
    assert sorted(style_files.held()) == [ids[1], ids[3]]
    with store.read() as uow:
        assert uow.style_jobs.missing(ids) == [ids[0], ids[2]]


def test_renders_of_whoever_was_merged_into_the_person_go_too(enrolled, rendered, erase_renders, merge, style_files):
    enrolled("ann")
    enrolled("anna")
    rendered("anna")
    merge("anna", "ann")
    assert erase_renders("ann").removed["style_files"] == 2
    assert style_files.held() == []


def test_a_render_at_work_is_fenced_out_by_the_erasure_and_leaves_nothing(
    enrolled, rendered, erase_renders, store, style_files, renderer, reports
):
    enrolled("ann")
    rendered("ann")
    told = lambda error: ("code", str(error), {})  # noqa: E731
    run = RunStyle(store, style_files, renderer, told, timedelta(days=1), reports.append)
    renderer.before_step = lambda step: step == 3 and erase_renders("ann")
    run(ClaimStyle(store, style_files)(), threading.Event())
    assert (style_files.held(), reports) == ([], [])


def test_files_of_renders_that_cannot_be_removed_leave_the_receipt_unproved(
    enrolled, rendered, erase_renders, style_files, monkeypatch, reports
):
    enrolled("ann")
    rendered("ann")

    def fail(job_id):
        raise OSError("the disk")

    monkeypatch.setattr(style_files, "remove", fail)
    assert erase_renders("ann").search_missed is None
    assert "renders" in reports[0]
