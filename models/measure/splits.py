"""1:K at a chosen gallery size: people drawn into galleries and strangers again and again.

One gallery is an accident; an office has another. In each split some people, one random photo each, are the gallery,
everybody else comes once as a stranger, and those of the gallery who have a second photo come once more as themselves.
"""

from dataclasses import dataclass, field

import numpy as np

from models.measure.comparisons import FalseMatches
from models.measure.gallery import OpenSet, open_set
from models.measure.sample import Bools, Floats, Sample
from models.measure.threshold import threshold_for

# So many galleries, or so many people in all galleries together, whichever are more.
LEAST_SPLITS = 100
LEAST_ENROLMENTS = 3000


@dataclass(frozen=True, slots=True)
class Splits:
    """The searches of all splits together. enrolled: bool (splits, people), who was in each split's gallery."""

    answers: OpenSet
    enrolled: Bools = field(repr=False)
    gallery_size: int

    @property
    def people(self) -> int:
        """Number of people in the sample."""
        return int(self.enrolled.shape[1])

    @property
    def independent(self) -> int:
        """Distinct strangers in one split."""
        return self.people - self.gallery_size

    def threshold_for(self, rate: float) -> float:
        """The least threshold that keeps the FPIR over all splits."""
        return threshold_for(self.answers.closest, rate)

    def false_matches(self, threshold: float) -> FalseMatches:
        """The strangers taken for somebody, each with the person it was taken for."""
        false = self.answers.closest >= threshold
        score = self.answers.closest[false]
        return FalseMatches(score, np.ones(len(score)), self.answers.stranger[false], self.answers.lookalike[false])

    def totals(self, drawn: Floats) -> Floats:
        """Weight of all searches by strangers, each weighing what its stranger and, on average, its gallery do."""
        inside = drawn @ self.enrolled.T.astype(np.float64)
        outside = drawn.sum(axis=1, keepdims=True) - inside
        total: Floats = (inside * outside).sum(axis=1) / self.gallery_size
        return total

    def fpir(self, threshold: float) -> float:
        """Share of strangers taken for somebody, averaged over splits."""
        return self.answers.fpir(threshold)

    def miss(self, threshold: float) -> float:
        """Share of rightful searches missed; not a number when there were none."""
        return self.answers.fnir(threshold) if len(self.answers.own) else float("nan")


def draw_splits(
    sample: Sample, gallery_size: int, generator: np.random.Generator, *, splits: int | None = None
) -> Splits:
    """Searches `splits` random galleries of that many people: 100, or more while galleries are small, when None.

    Raises ValueError when no stranger would be left.
    """
    if not 0 < gallery_size < sample.persons:
        raise ValueError(f"a gallery of {gallery_size} and strangers need more than {sample.persons} people")
    splits = splits or max(LEAST_SPLITS, LEAST_ENROLMENTS // gallery_size)
    order, start = sample.by_person()
    each = sample.photos_each()
    answers, enrolled = [], np.zeros((splits, sample.persons), np.bool_)
    for split in range(splits):
        first = (generator.random(sample.persons) * each).astype(np.int64)
        other = (first + 1 + (generator.random(sample.persons) * (each - 1)).astype(np.int64)) % each
        people = generator.permutation(sample.persons)
        gallery, strangers = people[:gallery_size], people[gallery_size:]
        again = gallery[each[gallery] > 1]
        enrolled[split, gallery] = True
        answers.append(
            open_set(
                sample,
                order[start[gallery] + first[gallery]],
                order[start[again] + other[again]],
                order[start[strangers] + first[strangers]],
            )
        )
    return Splits(_joined(answers), enrolled, gallery_size)


def _joined(answers: list[OpenSet]) -> OpenSet:
    return OpenSet(
        own=np.concatenate([a.own for a in answers]),
        rival=np.concatenate([a.rival for a in answers]),
        probe=np.concatenate([a.probe for a in answers]),
        closest=np.concatenate([a.closest for a in answers]),
        stranger=np.concatenate([a.stranger for a in answers]),
        lookalike=np.concatenate([a.lookalike for a in answers]),
        people=answers[0].people,
    )
