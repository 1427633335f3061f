"""One more photo of somebody enrolled -> one more template."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from app.actions import entries
from app.actions.enroll import new_template
from app.actions.in_step import Report, bring_in_step, to_log
from app.actions.look import Look, look_at
from app.actions.lookout import Lookout
from app.actions.people import found
from app.actions.trail import NO_TRAIL
from app.actions.verify import best_of, refuse_another_model
from app.domain.face import Face
from app.domain.gallery import Within
from app.domain.model import ModelChanged, in_one_model
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
    the trail. keep_crops: the aligned face is kept too, sealed.
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
        return in_one_model(
            lambda: self._read_and_store(
                image, person_id, on_duplicate=on_duplicate, override=override, within=within, also=also
            )
        )

    def _read_and_store(
        self,
        image: bytes,
        person_id: str,
        *,
        on_duplicate: Literal["reject", "allow"],
        override: bool,
        within: Within,
        also: Callable[[UnitOfWork, TemplateAdded], None],
    ) -> TemplateAdded:
        """Raises ModelChanged where a cut-over came between, and nothing was stored."""
        look = look_at(image, self.reader, self.gallery, self.least_quality, keep_crops=self.keep_crops)
        parts = (self.store, self.gallery, self.calibration, look, self.clock, self.trail)
        watch = Lookout(*parts, except_for=person_id, within=within)
        refuse = "allow" if override else on_duplicate
        if not override:
            self._must_look_like(person_id, look, within)
        watch.refuse(refuse)
        template = new_template(
            person_id, look.face.quality, look.vector, look.model_id, self.identifiers, self.clock.now()
        )
        with self.store.write() as uow:
            watch.look_again(uow)
            watch.refuse(refuse)
            person = found(uow, person_id, within)
            uow.templates.add(template)
            look.keep_beside(uow, template.id, self.gallery.served)
            added = TemplateAdded(person, template, look.face, watch.alike, uow.changes.head())
            uow.audit.append(entries.of_template(added, override=override))
            also(uow, added)
            committed = uow.commit()
        bring_in_step(self.gallery, committed, self.report)
        return added

    def _must_look_like(self, person_id: str, look: Look, within: Within) -> None:
        with self.store.read() as uow:
            found(uow, person_id, within)  # again: without templates, whoever went meanwhile would be like nobody
            templates = uow.templates.of(person_id)
            best = best_of(templates, look.vector, look.model_id)
            refuse_another_model(uow, best, look.model_id)
        point = self.calibration.for_verification()
        if point.model_id != look.model_id:
            raise ModelChanged
        if best is not None and best.similarity >= point.threshold:
            return
        similarity = None if best is None else best.similarity
        self.trail.note(entries.of_mismatch(person_id, similarity, point, self.clock.now()))
        if best is None:
            raise NotSamePerson(
                "That person has no template to compare with: a key with `admin` must send override=true."
            )
        raise NotSamePerson
