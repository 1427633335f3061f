"""A photo and a name -> a new person with one template."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from app.actions.in_step import Report, bring_in_step, to_log
from app.actions.people import known_gallery
from app.actions.ranking import rank
from app.actions.sight import enrollable_face
from app.domain import particulars
from app.domain.face import Face, Quality, ReadingTimes, Vector
from app.domain.operating_point import Calibration
from app.domain.person import Person, Template
from app.errors import DuplicatePerson, Lookalike, PersonExists
from app.ports import Clock, FaceReader, Gallery, Identifiers, Store

MOST_LOOKALIKES = 20
# Looking for duplicates and inserting must be one step, or two at once give one face two persons: two that enrol, or
# one that enrols and one that adds a template. One lock for all of them, within one process.
INSERTING = threading.Lock()


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
    """What was stored; `template` is None after a dry run, which stores nothing."""

    person: Person
    template: Template | None
    face: Face
    duplicates: tuple[Lookalike, ...]
    index_seq: int
    times: ReadingTimes


@dataclass(frozen=True, slots=True)
class Enroll:
    """Enrols one person.

    Raises InvalidField, UnknownGallery, PersonExists, NoFace, SeveralFaces, PoorQuality, DuplicatePerson, and what the
    reader raises. Writes the person and the template in one transaction, then brings the index in step.
    """

    store: Store
    gallery: Gallery
    reader: FaceReader
    calibration: Calibration
    clock: Clock
    identifiers: Identifiers
    least_quality: float
    report: Report = to_log

    def __call__(self, image: bytes, enrolment: Enrolment) -> Enrolled:
        """Enrols from one picture of one person."""
        person = self._person(enrolment)
        self._refuse_taken(enrolment.person_id)
        reading = self.reader.read(image, encode="main")
        face, vector = enrollable_face(reading, self.least_quality)
        with INSERTING:
            seq = self.gallery.catch_up()
            alike = lookalikes(self.store, self.gallery, self.calibration, vector)
            if alike and enrolment.on_duplicate == "reject":
                raise DuplicatePerson(alike)
            if enrolment.dry_run:
                return Enrolled(person, None, face, alike, seq, reading.times)
            template = new_template(
                person.id, face.quality, vector, self.reader.model_id, self.identifiers, person.created_at
            )
            with self.store.write() as uow:
                uow.people.add(person)
                uow.templates.add(template)
                seq = uow.commit()
            seq = bring_in_step(self.gallery, seq, self.report)
            return Enrolled(person, template, face, alike, seq, reading.times)

    def _person(self, said: Enrolment) -> Person:
        for name in said.galleries:
            known_gallery(name)
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


def lookalikes(
    store: Store, gallery: Gallery, calibration: Calibration, vector: Vector, *, except_for: str | None = None
) -> tuple[Lookalike, ...]:
    """Everybody else who would be recognized in that face at the default 1:K point, closest first, at most 20.

    Somebody who is not active counts: to be enrolled anew would undo that. Who opted out of faces is not compared.
    """
    point = calibration.for_identification(max(gallery.size()))
    ranked = rank(
        store,
        gallery,
        vector,
        MOST_LOOKALIKES,
        at_least=point.threshold,
        counts=lambda person: not person.face_opt_out,
    )
    return tuple(Lookalike(c.person.id, c.person.name, c.similarity) for c in ranked if c.person.id != except_for)


def new_template(
    person_id: str, quality: Quality, vector: Vector, model_id: str, identifiers: Identifiers, now: datetime
) -> Template:
    """The template that a face of that quality and embedding becomes."""
    return Template(identifiers.new("tpl"), person_id, model_id, quality, now, vector)
