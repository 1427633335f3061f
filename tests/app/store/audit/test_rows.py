import os
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

import app
from app.domain.actor import acting_as
from app.domain.audit import GENESIS, AuditFilter, Entry, Line, Link
from app.errors import SealBroken
from app.store.memory.vault import MemoryVault
from app.store.vault.rows import PERSON_KEYS

ROOT = Path(app.__file__).parents[1]


@pytest.fixture
def write(store, noon):
    """Appends one entry in a transaction of its own; its seq."""

    def append(action="face.identified", **fields):
        with store.write() as uow:
            seq = uow.audit.append(Entry(action, **{"at": noon, **fields}))
            uow.commit()
        return seq

    return append


@pytest.fixture
def break_key(store, monkeypatch):
    """Makes every key of a person one that cannot be unwrapped."""

    def break_(person_id):
        if isinstance(store.vault, MemoryVault):
            whole = store.vault.key

            def key(whose, purpose):
                if whose == person_id:
                    raise SealBroken
                return whole(whose, purpose)

            monkeypatch.setattr(store.vault, "key", key)
            return
        with store.vault.database.writing() as rows:
            altered = update(PERSON_KEYS).where(PERSON_KEYS.c.person_id == person_id).values(wrapped=bytes(60))
            assert rows._connection.execute(altered).rowcount

    return break_


def page(store, before=None, limit=100, **which):
    with store.read() as uow:
        return uow.audit.page(AuditFilter(**which), before=before, limit=limit)


def seqs(records):
    return [record.line.seq for record in records]


def test_counts_from_one_without_gaps(store, write):
    assert [write() for _ in range(3)] == [1, 2, 3]
    with store.read() as uow:
        assert [line.seq for line in uow.audit.lines(0, 10)] == [1, 2, 3]
        assert [line.seq for line in uow.audit.lines(1, 1)] == [2]


def test_a_transaction_that_is_rolled_back_leaves_no_gap(store, write, noon):
    write()
    with store.write() as uow:
        assert uow.audit.append(Entry("x", noon), Entry("y", noon)) == 3
    assert write() == 2


def test_appends_nothing_when_there_is_nothing(store, write):
    with store.write() as uow:
        assert uow.audit.append() == 0
        assert uow.audit.last() == Link(0, GENESIS)
    write()
    with store.write() as uow:
        assert uow.audit.append() == 1


def test_gives_back_every_field(store, noon):
    entry = Entry(
        "door.decided",
        noon,
        "granted",
        "per_1",
        {"similarity": 0.75, "template_id": "tpl_1"},
        gallery="staff",
        door="front",
        facts={"threshold": 0.5, "target": {"kind": "fpir", "value": 1e-05}, "why": None, "ü": ["€", True]},
        actor="key1",
    )
    with store.write() as uow:
        uow.audit.append(entry)
        uow.commit()
    (record,) = page(store)
    line = record.line
    assert (line.seq, line.at, line.actor, line.action, line.outcome) == (1, noon, "key1", "door.decided", "granted")
    assert (line.gallery, line.door, line.facts) == ("staff", "front", entry.facts)
    assert (record.person_id, record.private, record.shredded) == ("per_1", entry.private, False)


def test_what_tells_of_a_person_lies_in_no_row_in_clear(store, write):
    write(person_id="person-in-question", private={"template_id": "template-in-question"})
    with store.read() as uow:
        (line,) = uow.audit.lines(0, 1)
    text = repr([getattr(line, name) for name in Line.__dataclass_fields__])
    assert "in-question" not in text
    assert line.subject is not None
    assert b"in-question" not in line.sealed


def test_the_actor_is_whoever_acts_when_the_entry_is_made(store, write):
    write()
    with acting_as("key7"):
        write()
    assert [record.line.actor for record in page(store)] == ["key7", "service"]


def test_chains_each_row_to_the_one_before(store, write):
    for _ in range(3):
        write()
    with store.read() as uow:
        lines, previous = uow.audit.lines(0, 3), GENESIS
        for line in lines:
            assert line.mac == uow.audit.chain.mac(previous, line)
            previous = line.mac
        assert uow.audit.last() == Link(3, previous)


def test_shows_newest_first_in_pages(store, write):
    for _ in range(5):
        write()
    assert seqs(page(store, limit=2)) == [5, 4]
    assert seqs(page(store, before=4, limit=2)) == [3, 2]
    assert seqs(page(store, before=1)) == []


def test_filters_by_actor_action_time_and_gallery(store, write, noon):
    hour = timedelta(hours=1)
    write("a", actor="k1")
    write("b", actor="k1", at=noon + hour, gallery="staff")
    write("b", actor="k2", at=noon + 2 * hour, gallery="guests")
    assert seqs(page(store, actor="k1")) == [2, 1]
    assert seqs(page(store, action="b")) == [3, 2]
    assert seqs(page(store, actor="k1", action="b")) == [2]
    assert seqs(page(store, since=noon + hour)) == [3, 2]
    assert seqs(page(store, until=noon + hour)) == [1]
    assert seqs(page(store, galleries=frozenset({"staff", "none"}))) == [2]
    assert seqs(page(store, galleries=frozenset())) == []


def test_finds_the_rows_of_a_person_while_the_key_is_there(store, write):
    for person_id in ("per_1", "per_2", None, "per_1"):
        write(person_id=person_id)
    assert seqs(page(store, person_id="per_1")) == [4, 1]
    assert seqs(page(store, person_id="nobody")) == []
    store.vault.shred("per_1")
    assert seqs(page(store, person_id="per_1")) == []
    assert seqs(page(store, person_id="per_2")) == [2]


def test_shredding_leaves_rows_that_tell_of_nobody_and_a_chain_that_holds(store, write):
    write(person_id="per_1", private={"similarity": 0.5})
    write(person_id="per_2")
    store.vault.shred("per_1")
    second, first = page(store)
    assert (first.person_id, first.private, first.shredded) == (None, {}, True)
    assert (second.person_id, second.shredded) == ("per_2", False)
    with store.read() as uow:
        one, two = uow.audit.lines(0, 2)
        assert (one.mac, two.mac) == (uow.audit.chain.mac(GENESIS, one), uow.audit.chain.mac(one.mac, two))


def test_of_somebody_erased_before_it_could_be_written_only_that_it_happened_is(store, write):
    write(person_id="per_1")
    store.vault.shred("per_1")
    write(person_id="per_1", private={"similarity": 0.5}, facts={"threshold": 0.5})
    record = page(store)[0]
    assert (record.line.subject, record.line.sealed, record.line.key_id) == (None, None, None)
    assert record.line.facts == {"threshold": 0.5, "person": "erased"}


def test_of_somebody_whose_key_cannot_be_read_only_that_it_happened_is_and_others_are_untouched(
    store, write, noon, break_key
):
    write(person_id="per_1")
    break_key("per_1")
    with store.write() as uow:
        first = Entry("x", noon, person_id="per_1", private={"similarity": 0.5}, facts={"threshold": 0.5})
        uow.audit.append(first, Entry("x", noon, person_id="per_2", private={"similarity": 0.75}))
        uow.commit()
    two, one = page(store, limit=2)
    assert (one.line.subject, one.line.sealed, one.line.key_id) == (None, None, None)
    assert one.line.facts == {"threshold": 0.5, "person": "unreadable"}
    assert (two.person_id, two.private) == ("per_2", {"similarity": 0.75})


def test_lets_go_of_a_beginning_and_goes_on_behind_the_anchor(store, write):
    for _ in range(5):
        write()
    with store.write() as uow:
        third = uow.audit.lines(2, 1)[0]
        assert uow.audit.let_go(uow.audit.chain.sign_anchor(third)) == 3
        uow.commit()
    with store.read() as uow:
        anchor = uow.audit.anchor()
        assert (anchor.seq, anchor.mac, anchor.at) == (3, third.mac, third.at)
        assert uow.audit.chain.signed_anchor(anchor)
    assert seqs(page(store)) == [5, 4]
    assert write() == 6


def test_a_trail_without_rows_goes_on_behind_its_anchor(store, write):
    write()
    with store.write() as uow:
        (line,) = uow.audit.lines(0, 1)
        uow.audit.let_go(uow.audit.chain.sign_anchor(line))
        uow.commit()
    with store.read() as uow:
        assert uow.audit.last() == Link(1, line.mac)
    assert write() == 2


def test_lets_nothing_go_twice(store, write):
    for _ in range(3):
        write()
    with store.write() as uow:
        first, second = uow.audit.lines(0, 2)
        uow.audit.let_go(uow.audit.chain.sign_anchor(second))
        for line in (first, second):
            with pytest.raises(RuntimeError):
                uow.audit.let_go(uow.audit.chain.sign_anchor(line))


def test_writers_at_once_leave_no_gap_and_write_nothing_twice(store, noon):
    def append(number):
        for turn in range(10):
            with store.write() as uow:
                uow.audit.append(Entry("a", noon, facts={"n": number, "turn": turn}), Entry("b", noon))
                uow.commit()

    threads = [threading.Thread(target=append, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with store.read() as uow:
        lines = uow.audit.lines(0, 1000)
    assert [line.seq for line in lines] == list(range(1, 81))
    assert len({(line.facts["n"], line.facts["turn"]) for line in lines if line.action == "a"}) == 40


APPENDING = """
import sys
from datetime import UTC, datetime
from app.domain.audit import Entry
from app.store.vault.ring import MasterRing
from app.store.unit_of_work import SqlStore
from app.store.vault.vault import Vault

store = SqlStore(sys.argv[1], Vault(sys.argv[2], MasterRing([bytes(range(32))])))
print("ready", flush=True)
sys.stdin.readline()
for n in range(30):
    with store.write() as uow:
        facts = {"who": sys.argv[3], "n": n}
        uow.audit.append(Entry("a", datetime.now(UTC), person_id="per_1", facts=facts), Entry("b", datetime.now(UTC)))
        uow.commit()
store.close()
"""


def test_processes_at_once_leave_no_gap_and_write_nothing_twice(url, sql_store, tmp_path):
    keys = f"sqlite:///{tmp_path / 'keys' / 'people.db'}"
    children = [
        subprocess.Popen(
            [sys.executable, "-c", APPENDING, url, keys, who],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for who in ("one", "two")
    ]
    try:
        for child in children:
            assert child.stdout.readline() == "ready\n"
        for child in children:
            child.stdin.write("\n")
            child.stdin.flush()
        for child in children:
            child.communicate(timeout=60)
            assert child.returncode == 0
    finally:
        for child in children:
            child.kill()
            child.communicate()
    with sql_store.read() as uow:
        lines = uow.audit.lines(0, 1000)
        previous = GENESIS
        for line in lines:
            assert line.mac == uow.audit.chain.mac(previous, line)
            previous = line.mac
    assert [line.seq for line in lines] == list(range(1, 121))
    told = [(line.facts["who"], line.facts["n"]) for line in lines if line.action == "a"]
    assert sorted(told) == [(who, n) for who in ("one", "two") for n in range(30)]
    # Both made the person's key at once, and one of the two stayed.
    assert len({line.subject for line in lines if line.action == "a"}) == 1


def test_a_reading_unit_of_work_appends_nothing(store, noon):
    with store.read() as uow, pytest.raises(Exception, match="read"):
        uow.audit.append(Entry("a", noon))
    assert page(store) == []


def test_two_vaults_make_two_chains(store, write):
    write()
    with store.read() as uow:
        (line,) = uow.audit.lines(0, 1)
    stranger = type(uow.audit.chain)(MemoryVault(b"another secret").secret("audit"))
    assert stranger.mac(GENESIS, line) != line.mac
