"""One photo of a batch -> a person, a template, or a refusal, each written together with its item."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from app.actions.add_template import AddTemplate, TemplateAdded
from app.actions.enroll import Enroll, Enrolled, Enrolment
from app.actions.jobs import Told
from app.actions.people import all_there, found
from app.domain import particulars
from app.domain.batch import BatchItem, Outcome, photo_digest
from app.domain.gallery import Within
from app.domain.job import Job, Overtaken
from app.errors import Corrupt, DuplicatePerson, InvalidField, Merged, OnelookError, Unavailable, UnknownPerson
from app.ports import PersonFilter, Store, UnitOfWork


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo taken out of its batch. in_folder: further photos of the same person become templates."""

    image: bytes
    enrolment: Enrolment
    in_folder: bool


# Takes the photo of an item out of its file. Raises OnelookError for what refuses it, Overtaken without a file.
Take = Callable[[BatchItem], Photo]


class _Gone(Exception):
    """The item is not pending any more: the person was erased."""


class _Outdated(Exception):
    """Somebody whom the outcome names was erased, or became part of another, while it was found."""


@dataclass(frozen=True, slots=True)
class EnrollItem:
    """Enrols one item by the ordinary actions. What becomes of it is in its row, in the transaction of the enrolment.

    Raises Overtaken when the attempt has lost the job, and Unavailable when it should be tried again: then nothing is
    written, but for NotAcknowledged, after which the row tells.
    """

    store: Store
    enroll: Enroll
    add_template: AddTemplate
    told: Told
    report: Callable[[str], object]

    def __call__(self, job: Job, item: BatchItem, take: Take, within: Within) -> Outcome | None:
        """What became of it; None where its person was erased meanwhile."""
        while True:
            try:
                return self._attempt(job, item, take, within)
            except _Gone:
                return None
            except _Outdated:  # as if that had been before: the photo is looked at anew
                continue

    def is_pending(self, job: Job, item: BatchItem) -> bool:
        """Whether nothing became of it yet."""
        with self.store.read() as uow:
            return uow.batches.status(job.id, item.number) == "pending"

    def _attempt(self, job: Job, item: BatchItem, take: Take, within: Within) -> Outcome:
        try:
            photo = take(item)
            return (self._in_folder if photo.in_folder else self._alone)(job, item, photo, within)
        except (Unavailable, Overtaken, _Gone, _Outdated):
            raise
        except Merged as e:
            raise _Outdated from e
        except OnelookError as e:
            if isinstance(e, Corrupt):
                self.report(f"a photo of a batch met what is stored and damaged: {e.detail}")
            return self._refuse(job, item, e)
        except Exception as e:  # one photo that meets a fault of ours must not keep the others from being enrolled
            self.report(f"a photo of a batch met a fault: {type(e).__name__}")
            return self._refuse(job, item, OnelookError())

    def _alone(self, job: Job, item: BatchItem, photo: Photo, within: Within, digest: str | None = None) -> Outcome:
        stored: list[Outcome] = []

        def also(uow: UnitOfWork, enrolled: Enrolled) -> None:
            assert enrolled.template is not None
            stored.append(Outcome("enrolled", enrolled.person.id, enrolled.template.id))
            _write(uow, job, item, stored[-1], digest)

        self.enroll(photo.image, photo.enrolment, within=within, also=also)
        return stored[-1] if stored else self._settle(job, item, Outcome("checked"))

    def _in_folder(self, job: Job, item: BatchItem, photo: Photo, within: Within) -> Outcome:
        digest = photo_digest(item.folder, photo.image)
        before = self._stored_before(digest, within)
        if before is not None:
            return self._settle(job, item, before)
        whose = self._whose(job, item, photo.enrolment, within)
        if whose is None:
            return self._alone(job, item, photo, within, digest)
        stored: list[Outcome] = []

        def also(uow: UnitOfWork, added: TemplateAdded) -> None:
            stored.append(Outcome("template", added.person.id, added.template.id))
            _write(uow, job, item, stored[-1], digest)

        on_duplicate = photo.enrolment.on_duplicate
        self.add_template(photo.image, whose, on_duplicate=on_duplicate, within=within, also=also)
        return stored[-1]

    def _stored_before(self, digest: str, within: Within) -> Outcome | None:
        with self.store.read() as uow:
            known = uow.batches.known_photo(digest)
            if known is None:
                return None
            try:
                return Outcome("before", found(uow, known[1], within).id, known[0])
            except UnknownPerson:  # somebody of whom this caller may not hear, or who was erased just now
                return None

    def _whose(self, job: Job, item: BatchItem, enrolment: Enrolment, within: Within) -> str | None:
        """Whom this folder stands for: whoever an earlier photo of it enrolled, or has its name as external_id."""
        external_id = particulars.line("external_id", enrolment.external_id or "")
        with self.store.read() as uow:
            enrolled = uow.batches.enrolled_as(job.id, item.person)
            people = [] if enrolled else uow.people.page(PersonFilter(None, external_id, within), after=None, limit=2)
        if len(people) > 1:
            raise InvalidField("external_id", f"Several persons have the external_id {external_id}: which is meant?")
        return enrolled or (people[0].id if people else None)

    def _refuse(self, job: Job, item: BatchItem, error: OnelookError) -> Outcome:
        code, detail, members = self.told(error)
        outcome = Outcome("refused", code=code, detail=detail, members=members or None)
        if isinstance(error, DuplicatePerson) and error.lookalikes:
            closest = error.lookalikes[0]
            similarity = round(closest.similarity, 6)
            outcome = replace(outcome, person_id=closest.person_id, members={"similarity": similarity})
        return self._settle(job, item, outcome)

    def _settle(self, job: Job, item: BatchItem, outcome: Outcome) -> Outcome:
        with self.store.write() as uow:
            _write(uow, job, item, outcome, None)
            # The erasure of whom it names has not seen this item: it would name that person from now on.
            if outcome.person_id is not None and not all_there(uow, [outcome.person_id]):
                raise _Outdated
            uow.commit()
        return outcome


def photo_in_folder(folder: str, image: bytes, defaults: Mapping[str, Any]) -> Photo:
    """A photo in a person's folder: its name is the person's external_id, and with blanks for underscores the name.

    defaults: any of galleries, groups, consent, on_duplicate.
    """
    said = {**defaults, **{name: tuple(defaults[name]) for name in ("galleries", "groups") if name in defaults}}
    return Photo(image, Enrolment(name=folder.replace("_", " "), external_id=folder, **said), in_folder=True)


def _write(uow: UnitOfWork, job: Job, item: BatchItem, outcome: Outcome, digest: str | None) -> None:
    """What became of the item, as part of a transaction that fails where this attempt may not write it any more."""
    if not uow.jobs.advance(job.id, job.token or ""):
        raise Overtaken
    if not uow.batches.settle(job.id, item.number, outcome):
        raise _Gone
    if digest is not None and outcome.template_id is not None:
        uow.batches.note_photo(outcome.template_id, digest)
