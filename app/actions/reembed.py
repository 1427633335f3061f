"""Every template embedded anew, by another model, from the kept crops; then one transaction cuts over."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from threading import Event

from app.actions.in_step import Report, bring_in_step, to_log
from app.actions.jobs import MOST_ATTEMPTS, Lease, Told
from app.domain.actor import LOCAL
from app.domain.audit import Entry
from app.domain.job import REEMBEDDING, Job, Overtaken
from app.domain.model import Embedded, LeftBehind, Served, Waiting
from app.errors import AlreadyServed, InProgress, LeavesBehind, NotReady, OnelookError, Stale
from app.ports import Clock, FaceReader, Gallery, Identifiers, Store, UnitOfWork

# Crops that are encoded together, and written by one transaction.
PIECE = 16
# Persons whom a refusal names.
MOST_NAMED = 100
MODEL_CHANGED = "model.changed"

Progress = Callable[[int, int], object]


@dataclass(frozen=True, slots=True)
class SubmitReembedding:
    """Begins the change to the model that is wanted, or goes on with one that was broken off.

    From then on enrolments are embedded by both models. Raises AlreadyServed; LeavesBehind where persons have no kept
    crop and are not to be left; InProgress while another change is under way. Writes the job, and that it is prepared.
    """

    store: Store
    clock: Clock
    identifiers: Identifiers
    gallery: Gallery
    wanted: str
    kept: timedelta
    report: Report = to_log

    def __call__(self, *, without_them: bool, asked_by: str = LOCAL) -> Job:
        """The job as it stands now. without_them: persons without a kept crop are left behind, and found no more."""
        with self.store.write() as uow:
            ahead = self._ahead(uow)
            left = uow.models.left_behind(ahead, with_crops=True, limit=MOST_NAMED)
            if left.persons and not without_them:
                raise LeavesBehind(left.persons, left.first)
            job = self._queued(uow, ahead, without_them, asked_by)
            uow.models.forget_others(self.wanted)
            if uow.models.served() != ahead:
                uow.models.serve(ahead)
            uow.jobs.count_anew(job.id, *uow.models.embedded(self.wanted))
            committed = uow.commit()
            stored = uow.jobs.get(job.id)
        bring_in_step(self.gallery, committed, self.report)
        assert stored is not None
        return stored

    def left_behind(self, limit: int) -> LeftBehind:
        """Persons without a kept crop: how many, and the first of them. Raises AlreadyServed. Read-only."""
        with self.store.read() as uow:
            return uow.models.left_behind(self._ahead(uow), with_crops=True, limit=limit)

    def _ahead(self, uow: UnitOfWork) -> Served:
        served = uow.models.served() or self.gallery.served
        if served.model_id == self.wanted:
            raise AlreadyServed
        return Served(served.model_id, self.wanted)

    def _queued(self, uow: UnitOfWork, ahead: Served, without_them: bool, asked_by: str) -> Job:
        digest = f"{ahead.model_id} > {ahead.next_id}{' without them' if without_them else ''}"
        # One of the home, whoever asks: it changes what everybody is answered.
        held = uow.jobs.of(LOCAL, REEMBEDDING, digest)
        if any(held is None or id_ != held.id for id_ in uow.jobs.unended(REEMBEDDING)):
            raise InProgress("Another re-embedding is under way: wait for its end, or cancel it first.")
        now = self.clock.now()
        if held is not None:
            uow.jobs.go_on(held.id, now + self.kept)
            return held
        job = Job(
            id=self.identifiers.new("job"),
            kind=REEMBEDDING,
            owner=LOCAL,
            digest=digest,
            parameters={
                "from": ahead.model_id,
                "to": ahead.next_id,
                "without_them": without_them,
                "asked_by": asked_by,
            },
            steps=0,
            created_at=now,
            expires_at=now + self.kept,
            max_attempts=MOST_ATTEMPTS,
        )
        uow.jobs.add(job)
        return job


@dataclass(frozen=True, slots=True)
class RunReembedding:
    """Works on a re-embedding that was claimed, until the cut-over.

    waiting: pictures that wait to be read; while there are any, it makes way. Writes embeddings piece by piece, so that
    whoever goes on after a kill finds those that are done, and the cut-over with the end of the job. clear_after_s: the
    age at which vectors in clear of the old model go, among which a search elsewhere may be looking; 0: there are none.
    """

    store: Store
    reader: FaceReader
    gallery: Gallery
    clock: Clock
    kept: timedelta
    told: Told
    waiting: Callable[[], int]
    report: Report = to_log
    clear_after_s: float = 0.0

    def __call__(self, job: Job, *, stop: Event, progress: Progress = lambda done, of: None) -> None:
        """progress: called with the templates done and all there are; stop, once set, queues the job again soon."""
        lease = Lease(self.store, self.clock, job, stop)
        attempt = _Attempt(self, job, lease, progress)
        error: OnelookError | None = None
        try:
            lease.hold(attempt.run)
        except Overtaken:
            return
        except KeyboardInterrupt:
            lease.stop_for("stopped")
            self._end(lease, None)
            raise
        except (LeavesBehind, NotReady, Stale) as e:
            error = e
        if attempt.committed is None:
            self._end(lease, error)
            return
        bring_in_step(self.gallery, attempt.committed, self.report)
        if self.clear_after_s:
            stop.wait(self.clear_after_s)
            with self.store.write() as uow:
                uow.models.forget_clear()
                uow.commit()

    def _end(self, lease: Lease, error: OnelookError | None) -> None:
        with self.store.write() as uow:
            if lease.end(uow, self.kept, self.told, error=error):
                give_up_next(uow, lease.job)
            committed = uow.commit()
        bring_in_step(self.gallery, committed, self.report)


@dataclass(slots=True)
class _Attempt:
    run_: RunReembedding
    job: Job
    lease: Lease
    progress: Progress
    #: The seq of the cut-over, once it is committed.
    committed: int | None = None
    _to: str = field(init=False)

    def __post_init__(self) -> None:
        self._to = str(self.job.parameters["to"])

    def run(self) -> None:
        """Passes over what waits until nothing does, and cuts over. Raises Overtaken, LeavesBehind, NotReady, Stale."""
        with self.run_.store.write() as uow:
            self.lease.advance(uow, 0)
            done, of = uow.models.embedded(self._to)
            uow.jobs.count_anew(self.job.id, done, of)
            uow.commit()
        self.progress(done, of)
        while not self.lease.halted.is_set():
            if self._pass(done, of):
                with self.run_.store.read() as uow:
                    done, of = uow.models.embedded(self._to)
            elif not self.lease.halted.is_set() and self._cut_over():
                return

    def _pass(self, done: int, of: int) -> int:
        """Embeds what waits; how many templates."""
        before = done
        with self.run_.store.read() as uow:
            waiting = uow.models.waiting(self._to, unreadable=lambda template_id: None)
            while not self.lease.halted.is_set() and (piece := list(islice(waiting, PIECE))):
                self.lease.make_way(self.run_.waiting)
                if self.lease.halted.is_set():
                    break
                done += self._embed(piece)
                self.progress(done, max(done, of))
        return done - before

    def _embed(self, piece: list[Waiting]) -> int:
        vectors = self.run_.reader.encode([one.crop for one in piece], self._to)
        embedded = [Embedded(one.template_id, vector) for one, vector in zip(piece, vectors, strict=True)]
        with self.run_.store.write() as uow:
            count = uow.models.embed(self._to, embedded)
            self.lease.advance(uow, count)
            uow.commit()
        # Also of those whose template was removed meanwhile: the pass got on.
        return len(piece)

    def _cut_over(self) -> bool:
        """Whether it is done: not where somebody was enrolled meanwhile who has still to be embedded."""
        unreadable: list[str] = []
        ahead = Served(str(self.job.parameters["from"]), self._to)
        with self.run_.store.write() as uow:
            self.lease.advance(uow, 0)
            if uow.models.served() != ahead:
                raise Stale("Another model was served or prepared meanwhile: ask for the re-embedding again.")
            if next(uow.models.waiting(self._to, unreadable=unreadable.append), None) is not None:
                return False
            left = uow.models.left_behind(ahead, with_crops=False, limit=MOST_NAMED)
            if left.persons and not self.job.parameters["without_them"]:
                raise LeavesBehind(left.persons, left.first)
            result = self._end(uow, left, len(unreadable))
            committed = uow.commit()
        self.committed = committed
        self.progress(result["templates"], result["templates"])
        return True

    def _end(self, uow: UnitOfWork, left: LeftBehind, unreadable: int) -> dict[str, int]:
        now = self.run_.clock.now()
        done, _ = uow.models.embedded(self._to)
        uow.models.cut_over(self._to)
        uow.models.serve(Served(self._to))
        result = {"templates": done, "persons_left_behind": left.persons, "unreadable_crops": unreadable}
        facts = {"from": self.job.parameters["from"], "to": self._to, "job": self.job.id, **result}
        uow.audit.append(Entry(MODEL_CHANGED, now, facts=facts, actor=str(self.job.parameters["asked_by"])))
        uow.jobs.count_anew(self.job.id, done, done)
        uow.jobs.end(
            self.job.id, "succeeded", token=self.lease.token, at=now, expires_at=now + self.run_.kept, result=result
        )
        return result


def give_up_next(uow: UnitOfWork, job: Job) -> None:
    """Notes that nothing is prepared any more, where it is what that job prepared. What was embedded stays."""
    served = uow.models.served()
    if served is not None and served.next_id == job.parameters["to"]:
        uow.models.serve(Served(served.model_id))


def tidy_models(store: Store) -> None:
    """Notes that nothing is prepared where no job prepares it any more, such as one that was given up."""
    with store.read() as uow:
        served = uow.models.served()
        if served is None or served.next_id is None or uow.jobs.unended(REEMBEDDING):
            return
    with store.write() as uow:
        if uow.models.served() == served and not uow.jobs.unended(REEMBEDDING):
            uow.models.serve(Served(served.model_id))
            uow.commit()
