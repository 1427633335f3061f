"""What the audit trail says of each act: no image, no vector, and of a person nothing that is not sealed."""

import math
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from app.domain.audit import Entry
from app.domain.decision import Match, Recognized
from app.domain.gallery import EVERYBODY
from app.domain.key import Key
from app.domain.operating_point import OperatingPoint
from app.domain.person import Receipt
from app.errors import Lookalike

if TYPE_CHECKING:
    from app.actions.add_template import TemplateAdded
    from app.actions.enroll import Enrolled
    from app.actions.identify import Identified
    from app.actions.verify import Verified

IDENTIFY, VERIFY = "face.identified", "face.verified"
RECOGNIZED, NOT_RECOGNIZED, MATCH, NO_MATCH = "recognized", "not_recognized", "match", "no_match"
LOOKED_FOR, DUPLICATE, DRY_RUN = "face.looked_for", "duplicate", "dry_run"


def of_identification(found: "Identified", at: datetime) -> Iterator[Entry]:
    """One entry a face. A similarity below the threshold is that to somebody who has no name here."""
    for answer in found.answers:
        decided, said = answer.decision, _stands_on(found.point)
        if isinstance(decided, Recognized):
            who = decided.candidate
            private = {"template_id": who.template_id, "similarity": _score(who.similarity)}
            yield Entry(IDENTIFY, at, RECOGNIZED, who.person.id, private, gallery=found.gallery, facts=said, seen=True)
        else:
            said |= {"reason": decided.reason, "similarity": _score(decided.best)}
            yield Entry(IDENTIFY, at, NOT_RECOGNIZED, gallery=found.gallery, facts=said)


def of_verification(found: "Verified", at: datetime) -> Entry:
    """Of a claimed person sealed, whether the claim was right or not; of two pictures the similarity in clear."""
    said = _stands_on(found.point)
    measured: dict[str, Any] = {"similarity": _score(found.answer.similarity)}
    if isinstance(found.answer, Match):
        outcome, seen = MATCH, found.person_id is not None
    else:
        outcome, seen = NO_MATCH, False
        said["reason"] = found.answer.reason
    if found.person_id is None:
        return Entry(VERIFY, at, outcome, facts=said | measured)
    if isinstance(found.answer, Match):
        measured["template_id"] = found.answer.template_id
    return Entry(VERIFY, at, outcome, found.person_id, measured, facts=said, seen=seen)


def of_lookout(told: Sequence[Lookalike], outcome: str, point: OperatingPoint, at: datetime) -> Iterator[Entry]:
    """That a face was compared with everybody and nothing stored: an entry for each who was named, or one for nobody.

    outcome: DUPLICATE, refused because somebody looks like it, or DRY_RUN. To have been looked like is no sighting.
    """
    said = _stands_on(point) | {"duplicates": len(told)}
    for one in told:
        measured = {"similarity": _score(one.similarity)}
        yield Entry(LOOKED_FOR, at, outcome, one.person_id, measured, gallery=EVERYBODY, facts=said)
    if not told:
        yield Entry(LOOKED_FOR, at, outcome, gallery=EVERYBODY, facts=said)


def of_mismatch(person_id: str, similarity: float | None, point: OperatingPoint, at: datetime) -> Entry:
    """That a further look was refused for not being like that person; None: there was nothing to compare with."""
    said = _stands_on(point) | {"reason": "below_threshold"}
    return Entry(VERIFY, at, NO_MATCH, person_id, {"similarity": _score(similarity)}, facts=said)


def of_enrolment(enrolled: "Enrolled") -> Entry:
    """A new person; whom else the face looked like is a number here, for those may be erased one day."""
    person, template = enrolled.person, enrolled.template
    return Entry(
        "person.enrolled",
        person.created_at,
        person_id=person.id,
        private={} if template is None else {"template_id": template.id},
        facts={"duplicates": len(enrolled.duplicates)},
    )


def of_template(added: "TemplateAdded", *, override: bool) -> Entry:
    """One more template; `override`: whatever it looked like."""
    return Entry(
        "template.added",
        added.template.created_at,
        person_id=added.person.id,
        private={"template_id": added.template.id},
        facts={"duplicates": len(added.duplicates), "override": override},
    )


def of_removal(person_id: str, template_id: str, at: datetime) -> Entry:
    """One template less."""
    return Entry("template.removed", at, person_id=person_id, private={"template_id": template_id})


def of_change(person_id: str, fields: Sequence[str], at: datetime) -> Entry:
    """What is said of a person changed: which fields, not what they said or say."""
    return Entry("person.changed", at, person_id=person_id, facts={"fields": sorted(fields)})


def of_erasure(receipt: Receipt) -> Entry:
    """That somebody was erased, under the receipt's id and no pseudonym.

    The receipt names both the person's id and this row: a pseudonym here would tie every other row of that person to
    the id again.
    """
    return Entry("person.erased", receipt.erased_at, facts={"erasure": receipt.id, "removed": dict(receipt.removed)})


def of_key(action: str, key: Key, at: datetime) -> Entry:
    """A key that was made or revoked, and what it may do."""
    bound = None if key.galleries is None else sorted(key.galleries)
    facts = {"key": key.id, "scopes": sorted(key.scopes), "galleries": bound}
    return Entry(action, at, facts=facts)


def _stands_on(point: OperatingPoint) -> dict[str, Any]:
    return {
        "threshold": round(point.threshold, 6),
        "target": {"kind": point.kind, "value": point.target},
        "support": point.support,
    }


def _score(similarity: float | None) -> float | None:
    return None if similarity is None or not math.isfinite(similarity) else round(float(similarity), 6)
