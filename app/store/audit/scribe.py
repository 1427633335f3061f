"""Entries -> rows of the trail, and rows -> what is shown: where what tells of a person is sealed and opened."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from app.domain.audit import Entry, Line, Link, Record, as_json
from app.domain.audit_check import Chain
from app.errors import KeyGone, SealBroken
from app.store.vault.person_key import PersonKey

TRAIL = "trail"


class PersonalKeys(Protocol):
    """The part of the vault that the trail needs: a key for each person, outside the database."""

    def key(self, person_id: str, purpose: str) -> PersonKey:
        """The person's key for that purpose, made if need be. Raises SealBroken where it cannot be unwrapped."""
        ...

    def known(self, person_id: str, purpose: str) -> PersonKey | None:
        """The same, or None where there is none, or none any more."""
        ...

    def shredded(self, person_ids: Sequence[str]) -> set[str]:
        """Those of these persons who were erased, and get no key any more."""
        ...

    def open_many(self, wanted: Sequence[tuple[str, bytes, bytes]]) -> list[bytes | SealBroken]:
        """For each (key id, sealed, belonging) what was sealed, or why it cannot be opened."""
        ...


@dataclass(frozen=True, slots=True)
class Scribe:
    """Seals, chains and opens rows. Touches no row itself. Of one unit of work."""

    keys: PersonalKeys
    chain: Chain

    def lines(self, entries: Sequence[Entry], last: Link) -> Iterator[Line]:
        """The entries as the rows that follow `last`, one after the other.

        Of somebody who was erased, or whose key cannot be read, a row tells only that, in its fact `person`.
        """
        persons = {entry.person_id for entry in entries} - {None}
        # Somebody may be erased between an act and its writing: that it happened stays, of whom does not.
        gone = self.keys.shredded(sorted(filter(None, persons))) if persons else set()
        keys = {id_: self._key(id_) for id_ in persons if id_ is not None and id_ not in gone}
        for entry in entries:
            line = self._line(entry, last, keys)
            yield line
            last = Link(line.seq, line.mac)

    def subject(self, person_id: str) -> str | None:
        """The person's pseudonym, or None for somebody whom the trail does not know, or no longer."""
        key = self.keys.known(person_id, TRAIL)
        return None if key is None else key.pseudonym()

    def records(self, lines: Sequence[Line]) -> list[Record]:
        """The rows with what their persons' keys still open."""
        wanted = {
            line.seq: (line.key_id, line.sealed, _belonging(line.seq))
            for line in lines
            if line.key_id is not None and line.sealed is not None
        }
        opened = dict(zip(wanted, self.keys.open_many(list(wanted.values())), strict=True))
        return [_record(line, opened.get(line.seq)) for line in lines]

    def _key(self, person_id: str) -> PersonKey | None:
        try:
            return self.keys.key(person_id, TRAIL)
        except SealBroken:  # one person's key that cannot be read must not keep everybody else's rows from the trail
            return None

    def _line(self, entry: Entry, last: Link, keys: Mapping[str, PersonKey | None]) -> Line:
        seq, facts = last.seq + 1, dict(entry.facts)
        subject = key_id = sealed = None
        key = None if entry.person_id is None else keys.get(entry.person_id)
        if key is not None:
            plain = as_json({"person_id": entry.person_id, **entry.private}).encode()
            subject, key_id, sealed = key.pseudonym(), key.key_id, key.seal(plain, _belonging(seq))
        elif entry.person_id is not None:
            facts["person"] = "unreadable" if entry.person_id in keys else "erased"
        where = (entry.outcome, entry.gallery, entry.door)
        told = (seq, entry.at, entry.actor, entry.action, *where, facts, subject, key_id, sealed)
        return Line(*told, mac=self.chain.mac(last.mac, Line(*told, mac=b"")))


def _record(line: Line, opened: bytes | SealBroken | None) -> Record:
    # One that is broken was altered, which is for the check to find; the others are still shown.
    if opened is None or isinstance(opened, SealBroken):
        return Record(line, shredded=isinstance(opened, KeyGone))
    private = json.loads(opened)
    return Record(line, private.pop("person_id", None), private)


def _belonging(seq: int) -> bytes:
    return b"onelook audit row " + str(seq).encode()
