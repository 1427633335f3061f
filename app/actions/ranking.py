"""A vector -> the persons closest to it: what the index finds is looked up in the rows (DESIGN, rules 1 and 2)."""

import math
from collections.abc import Callable

from app.domain.decision import Candidate
from app.domain.face import Vector
from app.domain.gallery import EVERYBODY
from app.domain.person import Person
from app.ports import Gallery, Hit, Store

FIRST_HITS = 8
GROWTH = 4


def rank(
    store: Store,
    gallery: Gallery,
    vector: Vector,
    persons: int,
    *,
    model_id: str,
    among: str = EVERYBODY,
    at_least: float = -math.inf,
    counts: Callable[[Person], bool] = Person.may_match,
) -> list[Candidate]:
    """The `persons` closest persons of the gallery `among` who count, each with the best template, closest first.

    Equals stand in order of id. Those below the similarity `at_least` are left out. A hit whose row is gone, or whose
    owner does not count, is dropped and the index is asked for more, until enough persons are found or nothing is left.
    counts: those who may match, unless the answer is for another purpose than to recognize somebody. model_id: whose
    the vector is; raises ModelChanged where another is served. Read-only.
    """
    owners: dict[str, Person] = {}
    k = max(FIRST_HITS, 2 * persons)
    while True:
        answer = gallery.search(vector, k, among, model_id=model_id)
        hits = [hit for hit in answer if math.isfinite(hit.similarity) and hit.similarity >= at_least]
        unseen = [hit.template_id for hit in hits if hit.template_id not in owners]
        if unseen:
            with store.read() as uow:
                owners.update(uow.people.owners(unseen))
        found = _best_of_each(hits, owners, counts)
        exhausted = len(answer) < k or len(hits) < len(answer)
        if len(found) >= persons or exhausted:
            return found[:persons]
        k *= GROWTH


def _best_of_each(hits: list[Hit], owners: dict[str, Person], counts: Callable[[Person], bool]) -> list[Candidate]:
    best: dict[str, Candidate] = {}
    for hit in hits:
        person = owners.get(hit.template_id)
        if person is None or not counts(person):
            continue
        candidate = Candidate(person, hit.template_id, max(-1.0, min(1.0, hit.similarity)))
        if person.id not in best or candidate.similarity > best[person.id].similarity:
            best[person.id] = candidate
    return sorted(best.values(), key=lambda candidate: (-candidate.similarity, candidate.person.id))
