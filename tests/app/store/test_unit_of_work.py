import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

import app
from app.domain.person import Receipt
from app.errors import Busy
from app.store.memory.store import MemoryStore
from app.store.unit_of_work import SqlStore

ROOT = Path(app.__file__).parents[1]


def test_rolls_back_what_is_not_committed(store, person, template):
    with store.write() as uow:
        uow.people.add(person())
        uow.templates.add(template())
    with store.read() as uow:
        assert uow.people.count() == uow.templates.count() == uow.changes.head() == 0


def test_rolls_back_when_something_fails(store, person):
    def fail_in_the_middle() -> None:
        with store.write() as uow:
            uow.people.add(person())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_in_the_middle()
    with store.write() as uow:
        assert uow.people.count() == 0


def test_rolls_back_what_was_written_after_the_commit(store, person):
    with store.write() as uow:
        uow.people.add(person("per_1"))
        uow.commit()
        uow.people.add(person("per_2"))
    with store.read() as uow:
        assert [uow.people.get(id_) is not None for id_ in ("per_1", "per_2")] == [True, False]


def test_readers_see_a_write_when_it_is_committed_and_not_before(store, person):
    with store.read() as reading, store.write() as writing:
        writing.people.add(person())
        assert writing.people.count() == 1
        assert reading.people.count() == 0
        writing.commit()
        assert reading.people.count() == 1


def test_a_reading_unit_of_work_cannot_write(store, person):
    with store.read() as uow:
        with pytest.raises((RuntimeError, DBAPIError)):
            uow.people.add(person())
        with pytest.raises(RuntimeError):
            uow.commit()
    with store.read() as uow:
        assert uow.people.count() == 0


def test_writers_wait_for_each_other_and_lose_nothing(store, person):
    with store.write() as uow:
        uow.people.add(person(name="0"))
        uow.commit()

    def count_up() -> None:
        for _ in range(10):
            with store.write() as uow:
                held = uow.people.get("per_1")
                uow.people.replace(person(name=str(int(held.name) + 1), revision=held.revision + 1))
                uow.commit()

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with store.read() as uow:
        assert uow.people.get("per_1").name == "40"


def test_gives_up_as_busy_when_another_writer_does_not_end(url, vault, person):
    stores = [MemoryStore(write_timeout_s=0.05), SqlStore(url, vault, write_timeout_s=0.05)]
    for store in stores:
        with store.write() as uow:
            with pytest.raises(Busy), store.write():
                pytest.fail("two writers at once")
            uow.people.add(person())
            uow.commit()
        with store.read() as uow:
            assert uow.people.count() == 1
        store.close()


def test_gives_up_as_busy_when_another_process_holds_the_lock(url, make_vault):
    mine, theirs = (SqlStore(url, make_vault(), write_timeout_s=0.05) for _ in range(2))
    with theirs.write() as uow:
        uow.people.count()
        with pytest.raises(Busy), mine.write():
            pytest.fail("two writers at once")
    with mine.write() as uow:
        assert uow.people.count() == 0
    mine.close()
    theirs.close()


def test_keeps_everything_over_a_reopening__sql(url, make_vault, person, template, noon):
    receipt = Receipt("era_1", "per_2", noon, {"templates": 0}, 2, search_missed=True)
    written = template()
    first = SqlStore(url, make_vault())
    with first.write() as uow:
        for id_ in ("per_1", "per_2"):
            uow.people.add(person(id_))
        uow.templates.add(written)
        uow.people.erase("per_2")
        uow.erasures.add(receipt)
        head = uow.commit()
    first.close()

    second = SqlStore(url, make_vault())
    with second.read() as uow:
        assert uow.people.get("per_1") == person()
        assert uow.people.get("per_2") is None
        (read,) = uow.templates.of("per_1")
        assert read.vector.tobytes() == written.vector.tobytes()
        assert uow.erasures.get("per_2") == receipt
        assert uow.changes.head() == head
    second.close()


KILLED = """
import sys
from datetime import UTC, datetime
import numpy as np
from app.domain.face import Quality
from app.domain.person import Person, Template
from app.store.vault.ring import MasterRing
from app.store.unit_of_work import SqlStore
from app.store.vault.vault import Vault

vault = Vault(sys.argv[2], MasterRing([bytes(range(32))]))
vault.prepare()
store = SqlStore(sys.argv[1], vault)
now = datetime.now(UTC)
vector = np.full(128, 128**-0.5, np.float32)

def enrol(uow, id_):
    uow.people.add(Person(f"per_{id_}", "x" * 4000, now, now))
    uow.templates.add(Template(f"tpl_{id_}", f"per_{id_}", "model", Quality(1, (), 80, 0, 0, 0, 1, 1, 0), now, vector))

for n in range(5):
    with store.write() as uow:
        enrol(uow, f"kept_{n}")
        uow.commit()
    print(f"kept_{n}", flush=True)
with store.write() as uow:
    # More than the page cache holds, so that a part has been written to the file.
    for n in range(1500):
        enrol(uow, f"half_{n}")
    print("in the middle", flush=True)
    sys.stdin.read()
"""


def test_a_process_killed_in_the_middle_keeps_what_was_committed_and_leaves_nothing_half(
    url, make_vault, tmp_path, person
):
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, url, f"sqlite:///{tmp_path / 'keys' / 'people.db'}"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        acknowledged = []
        for line in child.stdout:
            if line == "in the middle\n":
                break
            acknowledged.append(line.strip())
        os.kill(child.pid, signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    assert acknowledged == [f"kept_{n}" for n in range(5)]

    store = SqlStore(url, make_vault())
    with store.read() as uow:
        assert uow.people.count() == uow.templates.count() == uow.changes.head() == 5
        assert [t.person_id for t in uow.templates.of_model("model")] == [f"per_{id_}" for id_ in acknowledged]
    with store.write() as uow:
        uow.people.add(person())
        uow.commit()
    store.close()
