"""When the storm is over: everybody, on every process, and the tables themselves."""

import random
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Engine, MetaData, Table, select, text

from tests.acceptance.storm.checks import Checks
from tests.acceptance.storm.fleet import Fleet
from tests.acceptance.storm.ledger import Ledger, Subject
from tests.acceptance.storm.talker import Talker, Traffic, UndecidedError, UnexpectedError

AT_ONCE = 4


def sweep_processes(fleet: Fleet, ledger: Ledger, key: str, traffic: Traffic) -> int:
    """Asks every process for everybody; how many answers were checked."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return sum(pool.map(lambda number: _sweep_process(number, fleet, ledger, key, traffic), range(len(fleet))))


def _sweep_process(number: int, fleet: Fleet, ledger: Ledger, key: str, traffic: Traffic) -> int:
    chance = random.Random(number)
    talker = Talker(fleet, key, chance, traffic)
    check = Checks(talker, ledger, chance)
    count = 0
    try:
        for one in ledger.living:
            count += _sweep_living(one, check, ledger, chance, number)
        for one in [*ledger.erased, *ledger.absent]:
            count += _sweep_gone(one, check, chance, number)
    except UndecidedError as e:
        ledger.note_undecided(f"sweep: {e}")
    except UnexpectedError as e:
        ledger.blame("unexpected", f"sweep: {e}")
    finally:
        talker.close()
    return count


def _sweep_living(one: Subject, check: Checks, ledger: Ledger, chance: random.Random, number: int) -> int:
    check.is_whole(one, only=number)
    check.is_named(one, one.face.probe(chance), only=number)
    for gallery in ledger.galleries:
        if gallery in one.galleries:
            check.is_named(one, one.face.probe(chance), gallery, only=number)
        else:
            check.is_unnamed(one.face.probe(chance), "stale", one.external_id, gallery, never=one.id, only=number)
    other = one.face.probe_of_other(chance)
    if other is not None and one.other is not None:
        check.is_named(one, other, only=number)
    return 3 + len(ledger.galleries)


def _sweep_gone(one: Subject, check: Checks, chance: random.Random, number: int) -> int:
    id_ = one.id or one.chosen_id
    if one.face.is_real:
        # Somebody living may have that face by now.
        candidates = check.identify(one.face.probe(chance), only=number).body["candidates"]
        if id_ in [candidate["person"]["id"] for candidate in candidates]:
            check.is_gone(id_ or "", one.external_id, only=number)
    else:
        probe = one.face.probe(chance)
        check.is_unnamed(probe, "found after erasure", one.external_id, never=id_, only=number)
    check.is_gone(id_ or "", one.external_id, only=number)
    return 2


def sweep_trail(talker: Talker, ledger: Ledger, heads: Sequence[str]) -> int:
    """Checks the audit trail against every head that was signed meanwhile; how many rows it has."""
    rows = 0
    for head in heads:
        verdict = talker.ask("GET", "/audit/verify", {"head": head}).body
        rows = verdict["rows"]
        if not (verdict["ok"] and verdict["head_met"]):
            ledger.blame("lost", f"rows of the audit trail: {verdict['faults']}")
    return rows


def sweep_tables(rows: Engine, keys: Engine, keys_schema: str | None, ledger: Ledger) -> dict[str, int]:
    """Compares every row with the ledger; how many rows there are of each kind. What is wrong goes to the ledger."""
    held = _Tables(rows, None)
    vault = _Tables(keys, keys_schema)
    living = {one.id: one for one in ledger.living}
    erased = {one.id for one in ledger.erased}
    templates = {id_: one.id for one in ledger.living for id_ in one.templates}
    members = {(gallery, one.id) for one in ledger.living for gallery in one.galleries}
    fed: set[str] = set()
    for id_, op in held.read("changes", "subject_id", "op", where="kind = 'template'", order="seq"):
        (fed.discard if op == "remove" else fed.add)(id_)
    holders = {person_id for (person_id,) in vault.read("person_keys", "person_id", where="purpose = 'template'")}
    compared: list[tuple[str, str, object, object]] = [
        ("half-stored", "persons", {id_ for (id_,) in held.read("persons", "id")}, set(living)),
        ("half-stored", "templates", dict(held.read("templates", "id", "person_id")), templates),
        ("half-stored", "members", set(held.read("members", "gallery_id", "person_id")), members),
        ("half-stored", "templates by the change feed", fed, set(templates)),
        ("found after erasure", "erased ids", {id_ for (id_,) in held.read("erased_ids", "person_id")}, erased),
        ("found after erasure", "receipts", {id_ for (id_,) in held.read("erasures", "person_id")}, erased),
        ("found after erasure", "keys of the erased", holders & erased, set()),
        ("half-stored", "keys of the living", holders & set(living), set(living)),
        ("found after erasure", "answers that tell of the erased", _told_of(held) & erased, set()),
    ]
    for fault, what, found, wanted in compared:
        if found != wanted:
            ledger.blame(fault, f"the rows of {what}: {_difference(found, wanted)}")
    _compare_acts(held, ledger)
    return {what: len(found) for _, what, found, _ in compared if isinstance(found, set | dict)}


def _compare_acts(held: "_Tables", ledger: Ledger) -> None:
    """Each enrolment and each erasure that was carried out has one row in the trail, and none besides."""
    acts = Counter(action for (action,) in held.read("audit", "action"))
    wanted = {"person.enrolled": len(ledger.living) + len(ledger.erased), "person.erased": len(ledger.erased)}
    for action, count in wanted.items():
        if acts[action] != count:
            ledger.blame("half-stored", f"the audit trail has {acts[action]} {action} instead of {count}")


def _told_of(held: "_Tables") -> set[str]:
    return {person_id for (person_id,) in held.read("idempotency_persons", "person_id")}


def _difference(found: object, wanted: object) -> str:
    if isinstance(found, dict) and isinstance(wanted, dict):
        found, wanted = set(found.items()), set(wanted.items())
    assert isinstance(found, set)
    assert isinstance(wanted, set)
    return f"there and not wanted {sorted(found - wanted)[:5]}, missing {sorted(wanted - found)[:5]}"


class _Tables:
    """Tables as they are, read without the code that wrote them."""

    def __init__(self, engine: Engine, schema: str | None) -> None:
        self._engine = engine
        self._schema = schema

    def read(self, name: str, *columns: str, where: str = "1 = 1", order: str = "1") -> list[tuple[str, ...]]:
        """Those columns of the rows that fit."""
        table = Table(name, MetaData(), schema=self._schema, autoload_with=self._engine)
        wanted = select(*(table.c[column] for column in columns)).where(text(where)).order_by(text(order))
        with self._engine.connect() as connection:
            return [tuple(row) for row in connection.execute(wanted)]
