"""A photo and a name -> a new person with one template."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from app.actions import entries
from app.actions.in_step import Report, bring_in_step, to_log
from app.actions.look import look_at
from app.actions.lookout import Lookout
from app.actions.people import known_gallery
from app.actions.trail import NO_TRAIL
from app.domain import particulars
from app.domain.face import Face, Quality, ReadingTimes, Vector
from app.domain.gallery import EVERYBODY, Within
from app.domain.model import in_one_model
from app.domain.operating_point import Calibration
from app.domain.person import Person, Template
from app.errors import InvalidField, Lookalike, PersonExists
from app.ports import Clock, FaceReader, Gallery, Identifiers, Store, Trail, UnitOfWork


@dataclass(frozen=True, slots=True)
class Enrolment:
    """Who is to be enrolled, as the caller said it; the action checks every field."""

    name: str
    person_id: str | None = None
    external_id: str | None = None
    galleries: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    consent: str | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    on_duplicate: Literal["reject", "allow"] = "reject"
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What was stored; `template` is None after a dry run, which stores nothing.

    duplicates: who else looks like that, as far as the caller may hear of them; index_seq: the change that brought it.
    """

    person: Person
    galleries: tuple[str, ...]
    template: Template | None
    face: Face
    duplicates: tuple[Lookalike, ...]
    index_seq: int
    times: ReadingTimes


@dataclass(frozen=True, slots=True)
class Enroll:
    """Enrols one person.

    Raises InvalidField, UnknownGallery, PersonExists, NoFace, SeveralFaces, PoorQuality, DuplicatePerson, and what the
    reader raises. Writes the person and the template in one transaction, then brings the index in step. A dry run and
    DuplicatePerson, which store nothing, are noted on the trail. keep_crops: the aligned face is kept too, sealed.
    """

    store: Store
    gallery: Gallery
    reader: FaceReader
    calibration: Calibration
    clock: Clock
    identifiers: Identifiers
    least_quality: float
    report: Report = to_log
    trail: Trail = NO_TRAIL
    keep_crops: bool = False

    def __call__(
        self,
        image: bytes,
        enrolment: Enrolment,
        *,
        within: Within = None,
        also: Callable[[UnitOfWork, Enrolled], None] = lambda uow, enrolled: None,
    ) -> Enrolled:
        """Enrols from one picture of one person.

        within: the galleries that the caller is bound to: the person must be enrolled into some of them. also: called
        with what is about to be committed, in the same transaction; not called by a dry run.
        """
        person = self._person(enrolment)
        galleries = self._galleries(enrolment.galleries, within)
        self._refuse_taken(enrolment.person_id)
        return in_one_model(lambda: self._read_and_store(image, enrolment, person, galleries, within, also))

    def _read_and_store(
        self,
        image: bytes,
        enrolment: Enrolment,
        person: Person,
        galleries: tuple[str, ...],
        within: Within,
        also: Callable[[UnitOfWork, Enrolled], None],
    ) -> Enrolled:
        """Raises ModelChanged where a cut-over came between, and nothing was stored."""
        look = look_at(image, self.reader, self.gallery, self.least_quality, keep_crops=self.keep_crops)
        face = look.face
        watch = Lookout(self.store, self.gallery, self.calibration, look, self.clock, self.trail, within=within)
        watch.refuse(enrolment.on_duplicate)
        if enrolment.dry_run:
            watch.note(entries.DRY_RUN)
            return Enrolled(person, galleries, None, face, watch.alike, watch.seq, look.times)
        with self.store.write() as uow:
            watch.look_again(uow)
            watch.refuse(enrolment.on_duplicate)
            template = new_template(
                person.id, face.quality, look.vector, look.model_id, self.identifiers, person.created_at
            )
            uow.people.add(person)
            uow.templates.add(template)
            look.keep_beside(uow, template.id, self.gallery.served)
            for gallery in galleries:
                uow.galleries.join(gallery, person.id)
            enrolled = Enrolled(person, galleries, template, face, watch.alike, uow.changes.head(), look.times)
            uow.audit.append(entries.of_enrolment(enrolled))
            also(uow, enrolled)
            committed = uow.commit()
        bring_in_step(self.gallery, committed, self.report)
        return enrolled

    def _galleries(self, names: Sequence[str], within: Within) -> tuple[str, ...]:
        if within is not None and not names:
            raise InvalidField("galleries", f"The key is bound: name some of {', '.join(sorted(within))}.")
        with self.store.read() as uow:
            known = {known_gallery(uow, name, within) for name in names}
        return tuple(sorted(known - {EVERYBODY}))

    def _person(self, said: Enrolment) -> Person:
        start, end = particulars.validity(said.valid_from, said.valid_until)
        now = self.clock.now()
        chosen = None if said.person_id is None else particulars.person_id(said.person_id)
        return Person(
            id=chosen or self.identifiers.new("per"),
            name=particulars.line("name", said.name),
            created_at=now,
            updated_at=now,
            external_id=particulars.line_or_none("external_id", said.external_id),
            metadata=particulars.metadata(said.metadata),
            groups=particulars.groups(said.groups),
            consent=particulars.line_or_none("consent", said.consent, particulars.LONGEST_TEXT),
            valid_from=start,
            valid_until=end,
        )

    def _refuse_taken(self, person_id: str | None) -> None:
        # Only to answer before the picture is read: what decides is the insertion.
        if person_id is None:
            return
        with self.store.read() as uow:
            receipt = uow.erasures.get(person_id)
            if uow.people.get(person_id) is not None or (receipt is not None and receipt.person_id == person_id):
                raise PersonExists


def new_template(
    person_id: str, quality: Quality, vector: Vector, model_id: str, identifiers: Identifiers, now: datetime
) -> Template:
    """The template that a face of that quality and embedding becomes."""
    return Template(identifiers.new("tpl"), person_id, model_id, quality, now, vector)
