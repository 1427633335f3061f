"""Whether an answer is what the ledger says."""

import random
import time

from tests.acceptance.storm.ledger import Ledger, Subject
from tests.acceptance.storm.talker import Answer, Talker

EVERYBODY = "all"
CANDIDATES = 20
# How often, and for how long in all, somebody who was not found is looked for again: lost, or only stale.
LOOKS, LOOK_EVERY_S = 10, 0.2


class Checks:
    """Asks and compares; what is wrong goes to the ledger. One client's own."""

    def __init__(self, talker: Talker, ledger: Ledger, chance: random.Random) -> None:
        self._talker = talker
        self._ledger = ledger
        self._chance = chance

    def identify(
        self, image: bytes, gallery: str = EVERYBODY, *, avoid: int | None = None, only: int | None = None
    ) -> Answer:
        """What the service says of that picture."""
        query = {"gallery": gallery, "top_k": CANDIDATES}
        answer = self._talker.ask("POST", "/identify", query, image=image, avoid=avoid, only=only)
        if answer.status != 200:
            self._ledger.blame("unexpected", f"identify: {answer.status} {answer.code}")
        return answer

    def is_named(
        self,
        one: Subject,
        image: bytes,
        gallery: str = EVERYBODY,
        *,
        after: Answer | None = None,
        only: int | None = None,
    ) -> bool:
        """Checks that the picture is recognized as that person. after: by another process than answered that."""
        avoid = None if after is None else after.process
        answer = self.identify(image, gallery, avoid=avoid, only=only)
        wanted_seq = 0 if after is None else after.body.get("index_seq", 0)
        if _name(answer) == one.id:
            if answer.body["index_seq"] >= wanted_seq:
                return True
            self._ledger.blame("stale", f"{one.external_id}: seq {answer.body['index_seq']} < {wanted_seq}")
            return False
        told = f"{one.external_id} in {gallery}: {_told(answer)}" + ("" if after is None else f" after {after.process}")
        if _name(answer) is not None:
            self._ledger.blame("wrong", told)
            return False
        for _ in range(LOOKS):
            time.sleep(LOOK_EVERY_S)
            if _name(self.identify(image, gallery)) == one.id:
                self._ledger.blame("stale", told)
                return False
        self._ledger.blame("lost", told)
        return False

    def is_unnamed(
        self,
        image: bytes,
        fault: str,
        what: str,
        gallery: str = EVERYBODY,
        *,
        never: str | None = None,
        avoid: int | None = None,
        only: int | None = None,
    ) -> bool:
        """Checks that nobody is recognized in the picture, and that the person `never` is not even a candidate."""
        answer = self.identify(image, gallery, avoid=avoid, only=only)
        among = {candidate["person"]["id"] for candidate in answer.body.get("candidates", ())}
        if _name(answer) is None and (never is None or never not in among):
            return True
        of_whom = fault if never is None or never in among else "wrong"
        self._ledger.blame(of_whom, f"{what} in {gallery}: {_told(answer)}, candidate: {never in among}")
        return False

    def is_whole(self, one: Subject, *, only: int | None = None) -> bool:
        """Checks the person's row, galleries and templates."""
        row = self._talker.ask("GET", f"/persons/{one.id}", only=only)
        listed = self._talker.ask("GET", f"/persons/{one.id}/templates", only=only)
        if row.status == 404 or listed.status == 404:
            self._ledger.blame("lost", f"{one.external_id}: {row.status} {listed.status}")
            return False
        held = {template["id"] for template in listed.body["items"]}
        galleries = set(row.body["galleries"]) - {EVERYBODY}
        if held != set(one.templates) or galleries != one.galleries or row.body["external_id"] != one.external_id:
            self._ledger.blame("half-stored", f"{one.external_id}: {held} {galleries} instead of {one}")
            return False
        return True

    def is_gone(self, person_id: str, what: str, *, avoid: int | None = None, only: int | None = None) -> Answer:
        """Checks that there is no such person; the 404."""
        answer = self._talker.ask("GET", f"/persons/{person_id}", avoid=avoid, only=only)
        if answer.status != 404:
            self._ledger.blame("found after erasure", f"{what}: GET answers {answer.status}")
        return answer


def _name(answer: Answer) -> str | None:
    """Who was recognized."""
    person = answer.body.get("person")
    return None if person is None or answer.body.get("decision") != "recognized" else person["id"]


def _told(answer: Answer) -> str:
    body = answer.body
    facts = [str(body.get(name)) for name in ("decision", "reason", "similarity", "index_seq")]
    return f"process {answer.process} said {answer.status} {' '.join(facts)} {_name(answer)} {body.get('gallery')}"
