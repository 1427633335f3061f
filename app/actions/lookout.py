"""Whether somebody else enrolled looks like the face at hand: asked before an enrolment, and again inside it."""

from typing import Literal

from app.actions import entries
from app.actions.look import Look
from app.actions.ranking import rank
from app.domain.gallery import Within
from app.domain.model import ModelChanged
from app.domain.operating_point import Calibration
from app.domain.person import Person
from app.errors import DuplicatePerson, Lookalike
from app.ports import Clock, Gallery, Store, Trail, UnitOfWork

MOST_LOOKALIKES = 20


class Lookout:
    """Everybody else who would be recognized in one face at the default 1:K point, closest first, at most 20.

    Everybody enrolled is compared, whatever gallery the caller is bound to, but of others such a caller hears no name.
    Somebody who is not active counts: to be enrolled anew would undo that. Who opted out of faces is not compared.
    Where nothing is stored after it, so that no row tells of it, it is noted on the trail. Looking raises ModelChanged
    where another model is served than the one that the look is of.
    """

    def __init__(
        self,
        store: Store,
        gallery: Gallery,
        calibration: Calibration,
        look: Look,
        clock: Clock,
        trail: Trail,
        *,
        except_for: str | None = None,
        within: Within = None,
    ) -> None:
        self._store = store
        self._gallery = gallery
        self._calibration = calibration
        self._look_at = look
        self._clock = clock
        self._trail = trail
        self._except_for = except_for
        self._within = within
        self._look()

    @property
    def seq(self) -> int:
        """The last change that was looked at."""
        return self._seq

    @property
    def alike(self) -> tuple[Lookalike, ...]:
        """Those of whom the caller may hear."""
        return self._told

    def look_again(self, uow: UnitOfWork) -> None:
        """Looks again where anything changed since, inside a transaction that may write.

        Nobody else can commit until that ends, on any process: looking and inserting are one step, and two who enrol
        one face at once do not both get a person.
        """
        if uow.changes.head() != self._seq:
            self._look()

    def refuse(self, on_duplicate: Literal["reject", "allow"]) -> None:
        """Raises DuplicatePerson where somebody looks like the face and the caller would not have that."""
        if self._found and on_duplicate == "reject":
            self.note(entries.DUPLICATE)
            raise DuplicatePerson(self._told)

    def note(self, outcome: str) -> None:
        """Notes on the trail whom the caller hears of although nothing is stored."""
        for entry in entries.of_lookout(self._told, outcome, self._point, self._clock.now()):
            self._trail.note(entry)

    def _look(self) -> None:
        self._seq = self._gallery.catch_up()
        self._point = point = self._calibration.for_identification(max(self._gallery.size()))
        if point.model_id != self._look_at.model_id:
            raise ModelChanged
        ranked = rank(
            self._store,
            self._gallery,
            self._look_at.vector,
            MOST_LOOKALIKES,
            model_id=self._look_at.model_id,
            at_least=point.threshold,
            counts=_counts,
        )
        self._found = tuple(
            Lookalike(c.person.id, c.person.name, c.similarity) for c in ranked if c.person.id != self._except_for
        )
        self._told = self._found if self._within is None or not self._found else self._may_hear_of(self._within)

    def _may_hear_of(self, within: frozenset[str]) -> tuple[Lookalike, ...]:
        with self._store.read() as uow:
            galleries = uow.galleries.of_many([one.person_id for one in self._found])
        return tuple(one for one in self._found if not within.isdisjoint(galleries.get(one.person_id, ())))


def _counts(person: Person) -> bool:
    return not person.face_opt_out
