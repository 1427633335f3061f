"""One client of the storm: acts at random, and checks every answer."""

import random
import threading
import time
from collections.abc import Callable

from tests.acceptance.storm.checks import Checks
from tests.acceptance.storm.ledger import Ledger, Subject
from tests.acceptance.storm.talker import Answer, Talker, UndecidedError, UnexpectedError

# How soon, and how often the same, the outcome of a request that nobody answered is asked for.
SETTLES_S, SAME_ANSWERS = 0.3, 3


class Client:
    """Does one act after another. One thread's own."""

    # How many are enrolled when as many come as go; share of the acts that are on real photos, where they can be.
    CROWD, REAL = 120, 0.16
    # Share of the enrolments that the client itself breaks off, and of those that it sends again though answered.
    HANGS_UP, ASKS_AGAIN = 0.15, 0.1

    def __init__(self, talker: Talker, ledger: Ledger, chance: random.Random) -> None:
        self._talker = talker
        self._ledger = ledger
        self._chance = chance
        self._check = Checks(talker, ledger, chance)

    def act(self) -> None:
        """What is to be asked for again, or something new."""
        work = self._ledger.due()
        self._try(work if work is not None else self._something())

    def settle(self, ended: threading.Event) -> None:
        """Asks for what is still unknown, until nothing is or the event comes."""
        while self._ledger.is_waiting and not ended.is_set():
            work = self._ledger.due()
            if work is None:
                time.sleep(0.05)
            else:
                self._try(work)

    def _try(self, work: "Act") -> None:
        try:
            work(self)
        except UndecidedError as e:
            self._ledger.note_undecided(str(e))
        except UnexpectedError as e:
            self._ledger.blame("unexpected", str(e))

    def _something(self) -> "Act":
        often = {**ACTS, Client._erase: ACTS[Client._enrol] * len(self._ledger.living) / self.CROWD}
        return self._chance.choices(list(often), list(often.values()))[0]

    def _taken(self) -> Subject | None:
        """Somebody living, for this client alone; where there is nobody on a photo, somebody is enrolled on one."""
        real = self._chance.random() < self.REAL
        one = self._ledger.take(self._chance, real=real)
        if one is None:
            self._enrol_somebody(real=real)
        return one

    # --- enrol

    def _enrol(self) -> None:
        self._enrol_somebody(real=False)

    def _enrol_somebody(self, *, real: bool) -> None:
        one = self._ledger.somebody_new(self._chance, real=real)
        image = one.face.first(self._chance)
        query = {"name": f"Somebody {one.number}", "external_id": one.external_id}
        query |= {"person_id": one.chosen_id} if one.chosen_id else {}
        # Without a refusal of duplicates only the Idempotency-Key keeps a repeated request from enrolling twice.
        query |= {"on_duplicate": "allow"} if self._chance.random() < 0.5 else {}
        if one.chosen_id and self._chance.random() < 0.2:
            self._enrol_once(one, image, query)
            return
        breaks_off = self._chance.random() < self.HANGS_UP
        if breaks_off:
            self._talker.hang_up("/enroll", query, image, {"Idempotency-Key": one.external_id})
        self._enrol_surely(one, image, query, broke_off=breaks_off)

    def _enrol_surely(self, one: Subject, image: bytes, query: dict[str, str], *, broke_off: bool) -> None:
        """Sends the same request, under the same key, until it is answered."""

        def ask() -> Answer:
            headers = {"Idempotency-Key": one.external_id}
            return self._talker.ask("POST", "/enroll", query, image=image, headers=headers)

        answer = ask()
        if answer.code == "in_progress":
            # Whoever has begun it may have been killed: nobody else may carry it out before its time is over.
            self._ledger.finish_later(lambda client: client._enrol_surely(one, image, query, broke_off=broke_off))
            return
        self._check_enrolment(one, answer, again=ask, unsure=broke_off or answer.unsure)

    def _enrol_once(self, one: Subject, image: bytes, query: dict[str, str]) -> None:
        """Sends it once, and then asks what became of it."""
        answer = self._talker.once("POST", "/enroll", query, image=image)
        if answer is not None and answer.status != 503:
            self._check_enrolment(one, answer)
            return
        stored = self._what_became_of(f"/persons/{one.chosen_id}")
        if stored.status == 404:
            self._check.is_unnamed(one.face.probe(self._chance), "half-stored", one.external_id, never=one.chosen_id)
            self._ledger.note_absent(one)
            self._ledger.count("enrolment that broke off: not there at all", real=one.face.is_real)
            return
        one.id = one.chosen_id
        listed = self._talker.ask("GET", f"/persons/{one.id}/templates")
        one.templates = {template["id"]: "first" for template in listed.body.get("items", ())}
        if len(one.templates) != 1:
            self._ledger.blame("half-stored", f"{one.external_id}: {listed.status} {one.templates}")
        self._check.is_named(one, one.face.probe(self._chance))
        self._ledger.give_back(one)
        self._ledger.count("enrolment that broke off: wholly there", real=one.face.is_real)

    def _check_enrolment(
        self, one: Subject, answer: Answer, *, again: Callable[[], Answer] | None = None, unsure: bool = False
    ) -> None:
        """again: sends the same request once more; unsure: it was sent more than once already."""
        if answer.status != 201:
            self._ledger.blame("unexpected", f"enrol {one.external_id}: {answer.status} {answer.body}")
            self._ledger.note_undecided(f"enrol {one.external_id}")
            return
        one.id = answer.body["person"]["id"]
        one.templates = {answer.body["template"]["id"]: "first"}
        self._check.is_named(one, one.face.probe(self._chance), after=answer)
        if again is not None and self._chance.random() < self.ASKS_AGAIN:
            second, unsure = again(), True
            if (second.replayed, second.body) != (True, answer.body):
                self._ledger.blame("stored twice", f"{one.external_id} again: {second} and not {answer}")
        if unsure or self._chance.random() < 0.1:
            found = self._talker.ask("GET", "/persons", {"external_id": one.external_id})
            ids = [person["id"] for person in found.body["items"]]
            if ids != [one.id]:
                self._ledger.blame("stored twice", f"{one.external_id}: {ids} instead of {one.id}")
            self._check.is_whole(one)
        self._ledger.give_back(one)
        self._ledger.count("enrol", real=one.face.is_real)

    def _what_became_of(self, path: str) -> Answer:
        """The answer that stays the same: what was under way when its process was killed may still come."""
        same: list[Answer] = []
        while len(same) < SAME_ANSWERS:
            time.sleep(SETTLES_S)
            answer = self._talker.ask("GET", path)
            same = [*same, answer] if same and same[-1].status == answer.status else [answer]
        return same[-1]

    # --- look

    def _recognize(self) -> None:
        one = self._taken()
        if one is None:
            return
        self._check.is_named(one, one.face.probe(self._chance))
        if self._chance.random() < 0.1:
            self._check.is_whole(one)
        self._ledger.give_back(one)
        self._ledger.count("identify somebody enrolled", real=one.face.is_real)

    def _strange(self) -> None:
        stranger = self._chance.choice(self._ledger.cast.strangers)
        self._check.is_unnamed(stranger.probe(self._chance), "wrong", "a stranger")
        self._ledger.count("identify a stranger")

    def _look_for_the_gone(self) -> None:
        one = self._ledger.somebody_gone(self._chance)
        if one is None:
            return
        probe = one.face.probe(self._chance)
        self._check.is_unnamed(probe, "found after erasure", one.external_id, never=one.id)
        self._ledger.count("identify somebody erased")

    # --- change

    def _change_templates(self) -> None:
        one = self._taken()
        if one is None:
            return
        if one.other is None:
            key = f"{one.external_id} {self._chance.getrandbits(64)}".replace(" ", "-")
            self._add_template(one, one.face.other(self._chance), key)
        else:
            self._remove_template(one, one.other)

    def _add_template(self, one: Subject, image: bytes, key: str) -> None:
        headers = {"Idempotency-Key": key}
        answer = self._talker.ask("POST", f"/persons/{one.id}/templates", image=image, headers=headers)
        if answer.code == "in_progress":
            self._ledger.finish_later(lambda client: client._add_template(one, image, key))
            return
        if answer.status != 201:
            self._ledger.blame("unexpected", f"add to {one.external_id}: {answer.status} {answer.body}")
            self._ledger.note_undecided(f"add to {one.external_id}")
            return
        one.templates[answer.body["template"]["id"]] = "other"
        probe = one.face.probe_of_other(self._chance) or one.face.probe(self._chance)
        self._check.is_named(one, probe, after=answer)
        self._check.is_whole(one)
        self._ledger.give_back(one)
        self._ledger.count("add a template", real=one.face.is_real)

    def _remove_template(self, one: Subject, template_id: str) -> None:
        answer = self._talker.ask("DELETE", f"/persons/{one.id}/templates/{template_id}")
        if answer.status != 200 and not (answer.unsure and answer.code == "unknown_template"):
            self._ledger.blame("unexpected", f"remove from {one.external_id}: {answer.status} {answer.body}")
        del one.templates[template_id]
        other = one.face.probe_of_other(self._chance)
        if other is None:
            self._check.is_named(one, one.face.probe(self._chance), after=answer)
        else:
            self._check.is_unnamed(other, "stale", f"{one.external_id}, look removed", avoid=answer.process)
        self._check.is_whole(one)
        self._ledger.give_back(one)
        self._ledger.count("remove a template", real=one.face.is_real)

    def _move(self) -> None:
        one = self._taken()
        if one is None:
            return
        gallery = self._chance.choice(self._ledger.galleries)
        joins = gallery not in one.galleries
        answer = self._talker.ask("PUT" if joins else "DELETE", f"/galleries/{gallery}/members/{one.id}")
        if answer.status != 200 or answer.body["member"] != joins:
            self._ledger.blame("unexpected", f"move {one.external_id}: {answer.status} {answer.body}")
        probe = one.face.probe(self._chance)
        if joins:
            one.galleries.add(gallery)
            self._check.is_named(one, probe, gallery, after=answer)
        else:
            one.galleries.discard(gallery)
            self._check.is_unnamed(probe, "stale", f"{one.external_id}, who left", gallery, never=one.id,
                                   avoid=answer.process)  # fmt: skip
        self._ledger.give_back(one)
        self._ledger.count("join a gallery" if joins else "leave a gallery", real=one.face.is_real)

    def _erase(self) -> None:
        one = self._taken()
        if one is None:
            return
        answer = self._talker.ask("DELETE", f"/persons/{one.id}")
        what, probe = one.external_id, one.face.probe(self._chance)
        # Nobody comes between: the very next request for this face, to another process.
        self._check.is_unnamed(probe, "found after erasure", what, never=one.id, avoid=answer.process)
        gone = self._check.is_gone(one.id or "", what, avoid=answer.process)
        receipt = self._talker.ask("GET", f"/erasures/{one.id}")
        self._check_receipt(one, answer, gone, receipt)
        self._ledger.note_erased(one)
        self._ledger.count("erase", real=one.face.is_real)

    def _check_receipt(self, one: Subject, answer: Answer, gone: Answer, receipt: Answer) -> None:
        # Somebody else's process may have done it, and been killed before it could say so.
        told = answer.status == 200 or (answer.unsure and answer.status == 404)
        shown = answer.body if answer.status == 200 else receipt.body
        right = (
            told
            and receipt.status == 200
            and shown == receipt.body
            and shown["person_id"] == one.id
            and shown["removed"]["templates"] == len(one.templates)
            and gone.body.get("erasure") == f"/erasures/{one.id}"
        )
        if not right:
            text = f"erase {one.external_id}: {answer.status} {answer.body} {gone.body} {receipt.body}"
            self._ledger.blame("unexpected", text)
            return
        missed = shown["proof"]["search_missed"]
        if missed is None and (answer.status != 200 or self._ledger.may_lose_the_server):
            self._ledger.note_unproved()
        elif missed is not True:
            self._ledger.blame("found after erasure", f"{one.external_id}: its own search missed: {missed}")


Act = Callable[[Client], None]
# How often each is chosen; erasing more often the more there are.
ACTS: dict[Act, float] = {
    Client._enrol: 24,
    Client._recognize: 24,
    Client._strange: 8,
    Client._look_for_the_gone: 5,
    Client._change_templates: 12,
    Client._move: 12,
    Client._erase: 0,
}
