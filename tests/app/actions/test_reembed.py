"""The change to another model, with everything that may come between."""

import dataclasses
import threading
from datetime import timedelta

import numpy as np
import pytest

from app.actions.add_template import AddTemplate
from app.actions.identify import Identify, Question
from app.actions.jobs import LEASE_S, CancelJob, ClaimJob
from app.actions.models import settle_model
from app.actions.reembed import PIECE, RunReembedding, SubmitReembedding, give_up_next, tidy_models
from app.actions.verify import Asked, VerifyPair, VerifyPerson
from app.domain.decision import Match, NotRecognized, Recognized
from app.domain.job import REEMBEDDING
from app.domain.model import Served
from app.errors import AlreadyServed, InProgress, LeavesBehind, NotReady, NotSamePerson, StoreAway
from app.inference.calibration import following
from app.routes.problems import told

OLD, NEW = "model-a", "model-b"
KEPT = timedelta(days=7)


def of_model(calibration, model_id):
    """The same points as if that model had them."""

    def points(kind):
        return tuple(dataclasses.replace(point, model_id=model_id) for point in kind)

    return dataclasses.replace(
        calibration,
        model_id=model_id,
        verification=points(calibration.verification),
        identification=points(calibration.identification),
    )


@pytest.fixture
def live(calibration, reader):
    """The points of the model that reads now."""
    known = {OLD: calibration, NEW: of_model(calibration, NEW)}
    return following(lambda: known[reader.model_id])


@pytest.fixture
def enroll(store, gallery, reader, live, clock, identifiers):
    from app.actions.enroll import Enroll

    settle_model(store, OLD)
    return Enroll(store, gallery, reader, live, clock, identifiers, 0.35, keep_crops=True)


@pytest.fixture
def without_crops(enroll, pictures, enrolled):
    """Enrols somebody of whom no crop is kept."""
    from app.actions.enroll import Enrolment

    def enrol(who):
        plain = dataclasses.replace(enroll, keep_crops=False)
        return plain(pictures.of(who), Enrolment(who.title(), who, on_duplicate="allow")).person

    return enrol


@pytest.fixture
def submit(store, clock, identifiers, gallery, enroll):
    return SubmitReembedding(store, clock, identifiers, gallery, NEW, KEPT)


@pytest.fixture
def claim(store, clock, identifiers):
    return ClaimJob(store, clock, identifiers, REEMBEDDING)


@pytest.fixture
def run(store, reader, gallery, clock):
    return RunReembedding(store, reader, gallery, clock, KEPT, told, lambda: 0)


@pytest.fixture
def cancel(store, clock):
    return CancelJob(store, clock, REEMBEDDING, KEPT, give_up_next)


@pytest.fixture
def reembed(submit, claim, run, store):
    """The whole of it; the job in the end."""

    def do(*, without_them=False, using=run, **more):
        job = submit(without_them=without_them)
        using(claim([job.id]), stop=threading.Event(), **more)
        with store.read() as uow:
            return uow.jobs.get(job.id)

    return do


@pytest.fixture
def identify(store, gallery, reader, live, clock):
    return Identify(store, gallery, reader, live, clock, 0.35)


def served(store):
    with store.read() as uow:
        return uow.models.served()


def models_of(store, person_id):
    with store.read() as uow:
        return {template.model_id for template in uow.templates.of(person_id)}


def named(identified):
    decision = identified.answers[0].decision
    return decision.candidate.person.id if isinstance(decision, Recognized) else None


class Elsewhere:
    """What does the work in between: a reader whose encoding is preceded by something."""

    def __init__(self, reader, before):
        self._reader, self._before = reader, before

    def __getattr__(self, name):
        return getattr(self._reader, name)

    def encode(self, crops, model_id):
        self._before(len(crops))
        return self._reader.encode(crops, model_id)


def test_everybody_is_found_by_the_new_model_and_nobody_by_the_old(
    enrolled, reembed, store, gallery, identify, pictures, reader
):
    for who in ("ann", "bob"):
        enrolled(who)
    assert named(identify(pictures.of("ann"), Question())) == "ann"
    job = reembed()
    assert (job.status, job.step, job.steps, job.fraction) == ("succeeded", 2, 2, 1.0)
    assert job.result == {"templates": 2, "persons_left_behind": 0, "unreadable_crops": 0}
    assert (served(store), gallery.served, reader.model_id) == (Served(NEW), Served(NEW), NEW)
    assert models_of(store, "ann") == {NEW}
    found = identify(pictures.of("bob"), Question())
    assert (named(found), found.point.model_id) == ("bob", NEW)


def test_the_trail_tells_of_it_with_counts_and_who_asked(enrolled, submit, claim, run, store):
    enrolled("ann")
    job = submit(without_them=False, asked_by="key-7")
    run(claim([job.id]), stop=threading.Event())
    with store.read() as uow:
        last = uow.audit.lines(0, 99)[-1]
    assert (last.action, last.actor, last.subject) == ("model.changed", "key-7", None)
    assert (last.facts["from"], last.facts["to"], last.facts["templates"]) == (OLD, NEW, 1)


def test_persons_without_a_crop_are_told_before_anything_is_begun(enrolled, without_crops, submit, store):
    enrolled("ann")
    without_crops("bob")
    assert (submit.left_behind(9).persons, submit.left_behind(9).first) == (1, ("bob",))
    with pytest.raises(LeavesBehind) as refused:
        submit(without_them=False)
    assert (refused.value.persons, refused.value.first) == (1, ("bob",))
    assert served(store) == Served(OLD)
    with store.read() as uow:
        assert uow.jobs.unended(REEMBEDDING) == []


def test_who_is_left_behind_stays_enrolled_and_is_found_no_more(
    enrolled, without_crops, reembed, store, identify, pictures, erase
):
    enrolled("ann")
    without_crops("bob")
    job = reembed(without_them=True)
    assert (job.status, job.result["persons_left_behind"]) == ("succeeded", 1)
    assert models_of(store, "bob") == {OLD}
    assert named(identify(pictures.of("bob"), Question())) is None
    assert named(identify(pictures.of("ann"), Question())) == "ann"
    receipt = erase("bob")
    assert (receipt.search_missed, receipt.removed["templates"], receipt.removed["crops"]) == (True, 1, 0)


def test_who_was_left_behind_is_given_a_template_by_an_admin_alone(
    without_crops, reembed, store, gallery, reader, live, clock, identifiers, pictures, identify
):
    without_crops("bob")
    reembed(without_them=True)
    add = AddTemplate(store, gallery, reader, live, clock, identifiers, 0.35)
    with pytest.raises(NotSamePerson, match="no template"):
        add(pictures.of("bob"), "bob")
    add(pictures.of("bob"), "bob", override=True)
    assert named(identify(pictures.of("bob"), Question())) == "bob"


def test_there_is_nothing_to_do_where_the_wanted_model_is_served(enrolled, reembed, submit):
    enrolled("ann")
    reembed()
    for ask in (lambda: submit(without_them=False), lambda: submit.left_behind(9)):
        with pytest.raises(AlreadyServed):
            ask()


def test_going_back_is_the_same_way_from_the_same_crops(enrolled, reembed, submit, claim, run, store, pictures):
    enrolled("ann")
    with store.read() as uow:
        before = uow.templates.of("ann")[0].vector.copy()
    reembed()
    back = dataclasses.replace(submit, wanted=OLD)
    for wanted in (back, submit, back):
        run(claim([wanted(without_them=False).id]), stop=threading.Event())
    assert served(store) == Served(OLD)
    with store.read() as uow:
        np.testing.assert_array_equal(uow.templates.of("ann")[0].vector, before)


def test_one_change_at_a_time(enrolled, submit, cancel, store, pictures):
    enrolled("ann")
    job = submit(without_them=False)
    assert submit(without_them=False).id == job.id
    for other in (
        lambda: submit(without_them=True),
        lambda: dataclasses.replace(submit, wanted="model-c")(without_them=True),
    ):
        with pytest.raises(InProgress):
            other()


def test_a_cancelled_one_is_not_prepared_any_more_and_goes_on_when_asked_again(
    enrolled, submit, cancel, claim, run, store, reader, admin_key
):
    for number in range(PIECE + 1):
        enrolled(f"p{number}")
    job = submit(without_them=False)
    asked = []

    def stop_after_one(crops):
        asked.append(crops)
        if len(asked) == 1:
            cancel(job.id, admin_key)

    watched = dataclasses.replace(run, reader=Elsewhere(reader, stop_after_one))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.actions.jobs.BEAT_S", 0.0)
        patch.setattr("app.actions.jobs.LOOK_S", 0.001)
        # Enough time for the look between two pieces.
        patch.setattr("app.actions.jobs.Lease.make_way", lambda lease, waiting: asked and lease.halted.wait(5) and None)
        watched(claim([job.id]), stop=threading.Event())
    with store.read() as uow:
        ended = uow.jobs.get(job.id)
        done, of = uow.models.embedded(NEW)
    assert (ended.status, served(store)) == ("cancelled", Served(OLD))
    assert (done, of) == (PIECE, PIECE + 1)
    assert submit(without_them=False).id == job.id
    again = []
    dataclasses.replace(run, reader=Elsewhere(reader, again.append))(claim([job.id]), stop=threading.Event())
    assert (again, served(store)) == ([1], Served(NEW))


@pytest.fixture
def admin_key(store, clock):
    from app.domain.key import Key

    return Key("k", "admin", frozenset({"admin"}), clock.now(), b"")


def test_one_that_waits_is_cancelled_at_once(enrolled, submit, cancel, store, admin_key):
    enrolled("ann")
    job = submit(without_them=False)
    assert cancel(job.id, admin_key).job.status == "cancelled"
    assert served(store) == Served(OLD)


def test_a_stopped_one_is_queued_again_and_stays_prepared(enrolled, submit, claim, run, store):
    enrolled("ann")
    job, stop = submit(without_them=False), threading.Event()

    def stop_now(lease, waiting):
        stop.set()
        lease.halted.wait(2)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.actions.jobs.Lease.make_way", stop_now)
        run(claim([job.id]), stop=stop)
    with store.read() as uow:
        assert uow.jobs.get(job.id).status == "queued"
    assert served(store) == Served(OLD, NEW)
    run(claim([job.id]), stop=threading.Event())
    assert served(store) == Served(NEW)


def test_whoever_goes_on_after_a_kill_finds_what_is_done(enrolled, submit, claim, run, store, reader, clock):
    for number in range(3 * PIECE):
        enrolled(f"p{number:02}")

    class Killed(BaseException):
        pass

    seen = []

    def die_in_the_second(crops):
        seen.append(crops)
        if len(seen) == 2:
            raise Killed

    job = submit(without_them=False)
    with pytest.raises(Killed):
        dataclasses.replace(run, reader=Elsewhere(reader, die_in_the_second))(claim([job.id]), stop=threading.Event())
    assert claim([job.id]) is None
    clock.move(seconds=LEASE_S + 1)
    again = []
    dataclasses.replace(run, reader=Elsewhere(reader, again.append))(claim([job.id]), stop=threading.Event())
    assert sum(again) == 2 * PIECE
    assert served(store) == Served(NEW)


def test_an_attempt_that_lost_its_lease_cuts_nothing_over(enrolled, submit, claim, run, store, reader, clock):
    enrolled("ann")
    job = submit(without_them=False)
    taken = []

    def lose(crops):
        clock.move(seconds=LEASE_S + 1)
        taken.append(claim([job.id]))

    dataclasses.replace(run, reader=Elsewhere(reader, lose))(claim([job.id]), stop=threading.Event())
    assert served(store) == Served(OLD, NEW)
    with store.read() as uow:
        assert uow.models.embedded(NEW) == (0, 1)
    run(taken[0], stop=threading.Event())
    assert served(store) == Served(NEW)


def test_who_is_enrolled_meanwhile_is_not_lost_whether_crops_are_kept_or_not(
    enrolled, without_crops, submit, claim, run, reader, identify, pictures, store
):
    enrolled("ann")
    job = submit(without_them=False)

    def others_come(crops):
        if crops == 1 and not others:
            others.append(True)
            enrolled("bob")
            without_crops("cid")

    others = []
    dataclasses.replace(run, reader=Elsewhere(reader, others_come))(claim([job.id]), stop=threading.Event())
    assert served(store) == Served(NEW)
    for who in ("ann", "bob", "cid"):
        assert models_of(store, who) == {NEW}
        assert named(identify(pictures.of(who), Question())) == who


def test_an_enrolment_that_was_read_before_it_was_prepared_is_read_again(
    enroll, enrolled, submit, reader, pictures, store
):
    enrolled("ann")
    plain = dataclasses.replace(enroll, keep_crops=False)
    begun = []

    def begin():
        if not begun:
            begun.append(submit(without_them=False))

    reader.before_reading = begin
    from app.actions.enroll import Enrolment

    plain(pictures.of("bob"), Enrolment("Bob", "bob"))
    with store.read() as uow:
        assert uow.models.embedded(NEW) == (1, 2)


def test_an_enrolment_that_was_read_before_the_cut_over_is_read_again(
    enroll, enrolled, reembed, reader, pictures, store, identify
):
    enrolled("ann")
    done = []

    def cut_over():
        if not done:
            done.append(True)
            done.append(reembed())

    image = pictures.of("bob")
    reading = reader.read(image)
    stale = iter([reading])
    read = reader.read

    def late(picture, **more):
        found = next(stale, None)
        if found is None:
            return read(picture, **more)
        cut_over()
        return found

    reader.read = late
    from app.actions.enroll import Enrolment

    enroll(image, Enrolment("Bob", "bob"))
    assert models_of(store, "bob") == {NEW}
    assert named(identify(image, Question())) == "bob"


def stale_once(reader, image, before):
    """The first reading is of the old model, and something happens before it is used."""
    readings = iter([reader.read(image)])
    read = reader.read

    def late(picture, **more):
        found = next(readings, None)
        if found is None:
            return read(picture, **more)
        before()
        return found

    reader.read = late


def test_a_probe_that_the_old_model_read_is_read_again_after_the_cut_over(
    enrolled, reembed, reader, pictures, identify, store, gallery, live, clock
):
    enrolled("ann")
    image = pictures.of("ann")
    stale_once(reader, image, reembed)
    found = identify(image, Question())
    assert (named(found), found.point.model_id) == ("ann", NEW)


@pytest.mark.parametrize("pair", [False, True])
def test_a_claim_is_judged_by_one_model_whenever_it_was_read(
    enrolled, reembed, reader, pictures, store, gallery, live, clock, pair
):
    enrolled("ann")
    image = pictures.of("ann")
    stale_once(reader, image, reembed)
    if pair:
        answer = VerifyPair(gallery, reader, live, 0.35, clock)(image, pictures.of("ann"), Asked())
    else:
        answer = VerifyPerson(store, gallery, reader, live, clock, 0.35)(image, "ann", Asked())
    assert isinstance(answer.answer, Match)
    assert answer.point.model_id == NEW


def test_a_claim_on_rows_that_were_cut_over_meanwhile_is_judged_anew(
    enrolled, reembed, reader, pictures, store, gallery, live, clock
):
    enrolled("ann")
    verify = VerifyPerson(store, gallery, reader, live, clock, 0.35)
    catch_up, done = gallery.catch_up, []

    def then_cut_over():
        seq = catch_up()
        if not done:
            done.append(True)
            reembed()
        return seq

    gallery.catch_up = then_cut_over
    assert isinstance(verify(pictures.of("ann"), "ann", Asked()).answer, Match)


def test_another_process_follows_before_its_next_search(
    enrolled, reembed, store, pictures, calibration, clock, gallery
):
    from tests.app.conftest import ScriptedReader

    enrolled("ann")
    elsewhere = ScriptedReader()
    known = {OLD: calibration, NEW: of_model(calibration, NEW)}
    points = following(lambda: known[elsewhere.model_id])
    other = type(gallery)(store, gallery._make_index, OLD, on_model=elsewhere.serve)
    ask = Identify(store, other, elsewhere, points, clock, 0.35)
    image = pictures.of("ann")
    elsewhere.readings = pictures._reader.readings
    assert ask(image, Question()).point.model_id == OLD
    reembed()
    found = ask(image, Question())
    assert (named(found), found.point.model_id, elsewhere.model_id) == ("ann", NEW, NEW)


def test_a_process_without_the_new_weights_answers_nothing_rather_than_wrongly(
    enrolled, reembed, store, pictures, calibration, clock, gallery, reader
):
    enrolled("ann")

    def lacks(served):
        raise NotReady("its weights are not here")

    other = type(gallery)(store, gallery._make_index, OLD, on_model=lacks)
    ask = Identify(store, other, reader, calibration, clock, 0.35)
    other.catch_up()
    reembed()
    with pytest.raises(NotReady):
        ask(pictures.of("ann"), Question())
    assert other.served == Served(OLD)


def test_who_is_erased_while_it_runs_leaves_nothing(enrolled, submit, claim, run, reader, erase, store):
    for number in range(PIECE + 2):
        enrolled(f"p{number:02}")
    job = submit(without_them=False)
    receipts = []

    def erase_some(crops):
        if not receipts:
            # One whose crop is in the hands of the work now, and one whose turn is to come.
            receipts.extend(erase(who) for who in ("p00", f"p{PIECE + 1:02}"))

    dataclasses.replace(run, reader=Elsewhere(reader, erase_some))(claim([job.id]), stop=threading.Event())
    assert [receipt.removed["crops"] for receipt in receipts] == [1, 1]
    rows = store.committed
    assert rows.embedded == {}
    assert len(rows.crops) == len(rows.templates) == PIECE
    assert {template.person_id for template in rows.templates.values()}.isdisjoint({"p00", f"p{PIECE + 1:02}"})
    assert served(store) == Served(NEW)


def test_a_crop_that_cannot_be_opened_fails_it_before_anything_is_cut_over(enrolled, reembed, store, monkeypatch):
    enrolled("ann")
    enrolled("bob")
    from app.store.memory.models import MemoryModels

    honest = MemoryModels.waiting
    (broken,) = (t.id for t in store.committed.templates.values() if t.person_id == "bob")

    def waiting(self, model_id, *, unreadable):
        for one in honest(self, model_id, unreadable=unreadable):
            if one.template_id == broken:
                unreadable(broken)
            else:
                yield one

    monkeypatch.setattr(MemoryModels, "waiting", waiting)
    job = reembed()
    assert (job.status, job.error["code"], job.error["persons"]) == ("failed", "leaves_behind", 1)
    assert "person_ids" not in job.error
    assert served(store) == Served(OLD)
    assert models_of(store, "ann") == {OLD}
    job = reembed(without_them=True)
    assert (job.status, job.result["persons_left_behind"], job.result["unreadable_crops"]) == ("succeeded", 1, 1)


def test_a_job_that_was_overtaken_by_another_change_is_failed(enrolled, submit, claim, run, store, reader):
    enrolled("ann")
    job = submit(without_them=False)

    def change(crops):
        with store.write() as uow:
            uow.models.serve(Served(OLD, "model-c"))
            uow.commit()

    dataclasses.replace(run, reader=Elsewhere(reader, change))(claim([job.id]), stop=threading.Event())
    with store.read() as uow:
        ended = uow.jobs.get(job.id)
    assert (ended.status, ended.error["code"]) == ("failed", "stale")
    assert served(store) == Served(OLD, "model-c")


def test_what_the_store_refuses_leaves_the_job_to_whoever_comes_next(enrolled, submit, claim, run, store, reader):
    enrolled("ann")
    job = submit(without_them=False)

    def away(crops):
        raise StoreAway

    with pytest.raises(StoreAway):
        dataclasses.replace(run, reader=Elsewhere(reader, away))(claim([job.id]), stop=threading.Event())
    with store.read() as uow:
        assert uow.jobs.get(job.id).status == "running"


def test_nothing_is_prepared_where_no_job_prepares_it_any_more(enrolled, submit, store):
    enrolled("ann")
    job = submit(without_them=False)
    tidy_models(store)
    assert served(store) == Served(OLD, NEW)
    with store.write() as uow:
        uow.jobs.end(job.id, "failed", token=None, at=job.created_at, expires_at=job.expires_at)
        uow.commit()
    tidy_models(store)
    assert served(store) == Served(OLD)
    before = store.committed.head()
    tidy_models(store)
    assert store.committed.head() == before


def test_a_home_without_anybody_goes_over_too(reembed, store):
    job = reembed()
    assert (job.status, job.steps, job.fraction, served(store)) == ("succeeded", 0, 1.0, Served(NEW))


def test_tells_how_far_it_has_come(enrolled, reembed):
    for number in range(PIECE + 1):
        enrolled(f"p{number}")
    told_of = []
    reembed(progress=lambda done, of: told_of.append((done, of)))
    assert told_of[0] == (0, PIECE + 1)
    assert told_of[-1] == (PIECE + 1, PIECE + 1)
    assert (PIECE, PIECE + 1) in told_of


def test_a_stranger_stays_one(enrolled, reembed, identify, pictures):
    enrolled("ann")
    reembed()
    assert isinstance(identify(pictures.of("nobody"), Question()).answers[0].decision, NotRecognized)
