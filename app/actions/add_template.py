"""One more photo of somebody enrolled -> one more template."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from app.actions import entries
from app.actions.enroll import new_template
from app.actions.in_step import Report, bring_in_step, to_log
from app.actions.lookout import Lookout
from app.actions.people import found
from app.actions.sight import enrollable_face
from app.actions.trail import NO_TRAIL
from app.actions.verify import best_of
from app.domain.face import Face, Vector
from app.domain.gallery import Within
from app.domain.operating_point import Calibration
from app.domain.person import Person, Template
from app.errors import Lookalike, NotSamePerson
from app.ports import Clock, FaceReader, Gallery, Identifiers, Store, Trail, UnitOfWork


@dataclass(frozen=True, slots=True)
class TemplateAdded:
    """What was stored."""

    person: Person
    template: Template
    face: Face
    duplicates: tuple[Lookalike, ...]
    index_seq: int


@dataclass(frozen=True, slots=True)
class AddTemplate:
    """Adds a template that looks like its person at the default 1:1 point.

    Raises UnknownPerson, Erased, NoFace, SeveralFaces, PoorQuality, NotSamePerson, DuplicatePerson, and what the
    reader raises. Writes the template, then brings the index in step. NotSamePerson and DuplicatePerson are noted on
    the trail.
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

    def __call__(
        self,
        image: bytes,
        person_id: str,
        *,
        on_duplicate: Literal["reject", "allow"] = "reject",
        override: bool = False,
        within: Within = None,
        also: Callable[[UnitOfWork, TemplateAdded], None] = lambda uow, added: None,
    ) -> TemplateAdded:
        """override: store it whomever it looks like; the caller answers for who may ask for that.

        within: the galleries that the caller is bound to. also: called with what is about to be committed, in the same
        transaction.
        """
        with self.store.read() as uow:
            found(uow, person_id, within)
        face, vector = enrollable_face(self.reader.read(image, encode="main"), self.least_quality)
        parts = (self.store, self.gallery, self.calibration, vector, self.clock, self.trail)
        watch = Lookout(*parts, except_for=person_id, within=within)
        refuse = "allow" if override else on_duplicate
        if not override:
            self._must_look_like(person_id, vector, within)
        watch.refuse(refuse)
        template = new_template(
            person_id, face.quality, vector, self.reader.model_id, self.identifiers, self.clock.now()
        )
        with self.store.write() as uow:
            watch.look_again(uow)
            watch.refuse(refuse)
            person = found(uow, person_id, within)
            uow.templates.add(template)
            added = TemplateAdded(person, template, face, watch.alike, uow.changes.head())
            uow.audit.append(entries.of_template(added, override=override))
            also(uow, added)
            committed = uow.commit()
        bring_in_step(self.gallery, committed, self.report)
        return added

    def _must_look_like(self, person_id: str, vector: Vector, within: Within) -> None:
        with self.store.read() as uow:
            found(uow, person_id, within)  # again: without templates, whoever went meanwhile would be like nobody
            templates = uow.templates.of(person_id)
        best = best_of(templates, vector, self.reader.model_id)
        point = self.calibration.for_verification()
        if best is not None and best.similarity >= point.threshold:
            return
        similarity = None if best is None else best.similarity
        self.trail.note(entries.of_mismatch(person_id, similarity, point, self.clock.now()))
        if best is None:
            raise NotSamePerson(
                "That person has no template to compare with: a key with `admin` must send override=true."
            )
        raise NotSamePerson
