"""Suspicious pairs in the whole gallery: two persons who look alike, and one person whose templates do not."""

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from app.actions.people import Placed, known_gallery
from app.domain.alike import Pairs, Places, closest_between, furthest_within
from app.domain.face import Vector
from app.domain.gallery import EVERYBODY, Within
from app.domain.operating_point import MEASURED, Calibration, OperatingPoint
from app.errors import Busy, InvalidField
from app.ports import PersonFilter, Store, UnitOfWork

TWO_PERSONS, ONE_PERSON = "two_persons", "one_person"
# Pairs of persons that are kept, the most similar ones.
MOST = 10_000
# Results that are kept for the pages that follow: of so many who ask for different things, or at different moments.
KEPT = 4
PIECE = 1000

# Where a finding stands in the list.
Place = tuple[int, float, str, str]


@dataclass(frozen=True, slots=True)
class Finding:
    """Two templates. kind: `two_persons` who are as alike as one, or `one_person` whose own are as unlike as two."""

    kind: str
    similarity: float
    templates: tuple[str, str]
    persons: tuple[Placed, ...] = ()

    @property
    def place(self) -> Place:
        """Two persons come before one; of the first the most similar, of the second the least, come first."""
        if self.kind == TWO_PERSONS:
            return (0, -self.similarity, *self.templates)
        return (1, self.similarity, *self.templates)


@dataclass(frozen=True, slots=True)
class Findings:
    """One page. templates: how many were compared, as of change `index_seq`; complete: no pair was left out."""

    items: Sequence[Finding]
    point: OperatingPoint
    templates: int
    index_seq: int
    complete: bool


@dataclass(frozen=True, slots=True)
class _Compared:
    point: OperatingPoint
    findings: tuple[Finding, ...]
    templates: int
    seq: int
    complete: bool


@dataclass(slots=True)
class FindDuplicates:
    """Compares all templates of a model with each other. Raises UnsupportedTarget, UnknownGallery, Busy, InvalidField.

    It reads every template once and takes up to 1.5 KiB for each, and a time that grows with the square of their
    number. Of several calls at once one compares and the others are Busy; the last few results are kept for the pages
    that follow them. Who opted out of faces is not compared. Read-only.
    """

    store: Store
    calibration: Calibration
    most_templates: int | None = None
    _busy: threading.Lock = field(default_factory=threading.Lock)
    # By what was asked, and of which moment; who was asked for last stands last.
    _kept: OrderedDict[object, _Compared] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(
        self,
        *,
        target_fmr: float | None = None,
        accept_extrapolated: bool = False,
        gallery: str = EVERYBODY,
        within: Within = None,
        after: Place | None = None,
        as_of: int | None = None,
        limit: int,
    ) -> Findings:
        """At most `limit` findings behind the place `after`; as_of: `index_seq` of the page before, None for the first.

        Raises InvalidField for a moment of which nothing is kept here any more, and which has passed.
        Without a target the tightest measured 1:1 point counts at which everybody shows of whom an enrolment would be
        told now. within: a caller who is bound hears of nobody else; gallery: only its members.
        """
        with self.store.read() as uow:
            among = self._among(uow, gallery, within)
            compared = uow.templates.count()
        point = self._point(target_fmr, accept_extrapolated, compared)
        found = self._compared((target_fmr, accept_extrapolated, among), point, among, as_of)
        behind = (f for f in found.findings if after is None or f.place > after)
        items = list(islice(self._looked_up(behind, among), limit))
        return Findings(items, found.point, found.templates, found.seq, found.complete)

    def _among(self, uow: UnitOfWork, gallery: str, within: Within) -> Within:
        if gallery == EVERYBODY:
            return within
        return frozenset({known_gallery(uow, gallery, within)})

    def _point(self, target: float | None, accept_extrapolated: bool, compared: int) -> OperatingPoint:
        if target is not None:
            return self.calibration.for_verification(target, accept_extrapolated=accept_extrapolated)
        told = self.calibration.for_identification(compared).threshold
        measured = sorted((p for p in self.calibration.verification if p.support == MEASURED), key=lambda p: p.target)
        return next((p for p in measured if p.threshold <= told), measured[-1])

    def _compared(self, asked: object, point: OperatingPoint, among: Within, as_of: int | None) -> _Compared:
        with self.store.read() as uow:
            head, epoch = uow.changes.head(), uow.changes.epoch()
        if (kept := self._kept_of((asked, epoch, head if as_of is None else as_of))) is not None:
            return kept
        if as_of is not None and as_of != head:
            raise _stale()
        if not self._busy.acquire(blocking=False):
            raise Busy("Somebody is looking for duplicates already: try again in some seconds.")
        try:
            found = self._compare(point, among)
        finally:
            self._busy.release()
        with self._lock:
            self._kept[asked, epoch, found.seq] = found
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        if as_of is not None and as_of != found.seq:
            raise _stale()
        return found

    def _kept_of(self, moment: object) -> _Compared | None:
        with self._lock:
            if moment in self._kept:
                self._kept.move_to_end(moment)
            return self._kept.get(moment)

    def _compare(self, point: OperatingPoint, among: Within) -> _Compared:
        with self.store.read() as uow:
            # Noted before the rows are read: a page of this result is never taken for one of later rows.
            seq = uow.changes.head()
            ids, person, vectors = self._everything(uow, among, point.model_id)
        alike = closest_between(vectors, person, point.threshold, MOST)
        unlike = furthest_within(vectors, person, point.threshold)
        findings = (*_findings(TWO_PERSONS, alike, ids), *_findings(ONE_PERSON, unlike, ids))
        in_order = tuple(sorted(findings, key=lambda finding: finding.place))
        return _Compared(point, in_order, len(ids), seq, alike.complete)

    def _everything(self, uow: UnitOfWork, among: Within, model_id: str) -> tuple[list[str], Places, Vector]:
        """Template ids, numbers of their persons, rising, and vectors, float32 (n, 128)."""
        members = None if among is None else _members(uow, among)
        opted_out = _opted_out(uow)
        ids: list[str] = []
        owners: list[str] = []
        parts: list[Vector] = [np.empty((0, 128), np.float32)]
        templates = uow.templates.of_model(model_id, unreadable=lambda template_id: None)
        wanted = (t for t in templates if t.person_id not in opted_out and (members is None or t.person_id in members))
        while piece := list(islice(wanted, PIECE)):
            ids += [t.id for t in piece]
            owners += [t.person_id for t in piece]
            parts.append(np.stack([t.vector for t in piece]))
            if self.most_templates is not None and len(ids) > self.most_templates:
                raise InvalidField(
                    "gallery",
                    f"There are more than {self.most_templates} templates to compare: name a smaller gallery, or run "
                    "`onelook audit duplicates` on the machine itself.",
                )
        number = {owner: n for n, owner in enumerate(sorted(set(owners)))}
        person = np.array([number[owner] for owner in owners], np.intp)
        order = np.argsort(person, kind="stable")
        return [ids[place] for place in order], person[order], np.concatenate(parts)[order]

    def _looked_up(self, findings: Iterator[Finding], among: Within) -> Iterator[Finding]:
        """Those that still are what they were, with their persons as they are now."""
        while piece := list(islice(findings, PIECE)):
            with self.store.read() as uow:
                owners = uow.people.owners([id_ for finding in piece for id_ in finding.templates])
                galleries = uow.galleries.of_many(list({person.id for person in owners.values()}))
            for finding in piece:
                whose = [owners[id_] for id_ in finding.templates if id_ in owners]
                persons = tuple({p.id: Placed(p, galleries.get(p.id, ())) for p in whose}.values())
                still = len(whose) == 2 and len(persons) == (2 if finding.kind == TWO_PERSONS else 1)
                if still and all(_shown(one, among) for one in persons):
                    yield Finding(finding.kind, finding.similarity, finding.templates, persons)


def _stale() -> InvalidField:
    return InvalidField("cursor", "Something changed since that page: begin again without a cursor.")


def _findings(kind: str, pairs: Pairs, ids: Sequence[str]) -> Iterator[Finding]:
    for similarity, first, second in zip(pairs.similarity, pairs.first, pairs.second, strict=True):
        yield Finding(kind, min(1.0, max(-1.0, float(similarity))), (ids[first], ids[second]))


def _shown(one: Placed, among: Within) -> bool:
    return not one.person.face_opt_out and (among is None or not among.isdisjoint(one.galleries))


def _members(uow: UnitOfWork, galleries: frozenset[str]) -> set[str]:
    found: set[str] = set()
    for gallery in galleries:
        after: str | None = None
        while page := uow.galleries.members(gallery, after=after, limit=PIECE):
            found.update(page)
            after = page[-1]
    return found


def _opted_out(uow: UnitOfWork) -> set[str]:
    found: set[str] = set()
    after: str | None = None
    while page := uow.people.page(PersonFilter(), after=after, limit=PIECE):
        found.update(person.id for person in page if person.face_opt_out)
        after = page[-1].id
    return found
