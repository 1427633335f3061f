import json
import os
import stat
from datetime import UTC, datetime

import numpy as np
import pytest

from app.cli.journal import Journal
from app.domain.face import Quality
from app.domain.person import Person, Template
from app.errors import Busy
from app.store.memory import MemoryStore

NOW = datetime(2026, 3, 1, tzinfo=UTC)
QUALITY = Quality(0.9, (), 80, 0, 0, 0, 1, 1, 0)
VECTOR = np.eye(1, 128, dtype=np.float32)[0]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "enroll-journal.jsonl"


@pytest.fixture
def store():
    """Ada has template `a`, Bob `b`."""
    store = MemoryStore()
    with store.write() as uow:
        for name in "ab":
            uow.people.add(Person(name, name, NOW, NOW))
            uow.templates.add(Template(name, name, "model", QUALITY, NOW, VECTOR))
        uow.commit()
    return store


def lines(path):
    return [(entry["photo"], entry["template"]) for entry in map(json.loads, path.read_text().splitlines())]


def test_keeps_no_line_of_the_erased_once_it_is_opened_again(path, store):
    with Journal(path) as journal:
        for photo, template in (("p1", "a"), ("p2", "b"), ("p3", "never")):
            journal.note(photo, template)
    with store.write() as uow:
        uow.people.erase("a")
        uow.commit()
    path.write_bytes(path.read_bytes() + b'{"photo": "cut sh')
    with Journal(path) as journal:
        assert journal.finished(store) == {"p2"}
        assert lines(path) == [("p2", "b")]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        journal.note("p4", "b")
        assert journal.finished(store) == {"p2", "p4"}
    assert lines(path) == [("p2", "b"), ("p4", "b")]
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_is_not_rewritten_when_every_line_has_its_row(path, store):
    with Journal(path) as journal:
        journal.note("p1", "a")
        before = path.stat().st_ino
        assert journal.finished(store) == {"p1"}
    assert path.stat().st_ino == before


def test_stays_whole_when_the_sweep_fails(path, store, monkeypatch):
    with Journal(path) as journal:
        journal.note("p1", "a")
        journal.note("p3", "never")
        with monkeypatch.context() as broken:
            broken.setattr(type(path), "replace", lambda *_: (_ for _ in ()).throw(OSError("disk")))
            with pytest.raises(OSError, match="disk"):
                journal.finished(store)
        assert lines(path) == [("p1", "a"), ("p3", "never")]
        assert journal.finished(store) == {"p1"}


@pytest.mark.skipif(os.name != "posix", reason="locks are of POSIX")
def test_belongs_to_one_process_after_the_sweep_too(path, store):
    with Journal(path) as journal:
        journal.note("p3", "never")
        journal.finished(store)
        with pytest.raises(Busy), Journal(path):
            pass
    with Journal(path) as journal:
        assert journal.read() == {}
