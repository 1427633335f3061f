import errno
import json
import os
import sqlite3
import stat
import zipfile
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select, update

from app.domain.face import Quality
from app.domain.gallery import NamedGallery
from app.domain.key import Key
from app.domain.model import Embedded, Served
from app.domain.person import Person, Receipt, Template
from app.errors import Corrupt, Misconfigured, PersonExists
from app.ports import PersonFilter
from app.settings import Settings
from app.store.archive import backup
from app.store.archive.backup import BackedUp, back_up
from app.store.archive.restore import restore
from app.store.migrate import migrate
from app.store.opening import open_vault
from app.store.tables import CHANGES, TEMPLATE_PARTS, TEMPLATES
from app.store.unit_of_work import SqlStore
from app.store.vault.rotation import rotate
from app.store.vault.rows import VAULT_TABLES
from app.store.vault.vault import TRAIL

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
QUALITY = Quality(0.8, ("small",), 71.5, -3.0, 2.0, 0.5, 0.6, 0.4, 0.0)


def unit(seed):
    vector = np.random.default_rng(seed).normal(size=128)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


@pytest.fixture
def store(opened):
    """Ann with two templates in one gallery, Bob with one, Cid without; a key, a receipt, an erased id."""
    store = opened()
    with store.write() as uow:
        uow.galleries.add(NamedGallery("lab", "The Lab", NOW))
        uow.people.add(
            Person(
                "ann", "Ann Secretname", NOW, NOW, 3, "e-1", {"a": [1]}, ("staff",), "contract", False, False, NOW, None
            )
        )
        for id_ in ("bob", "cid"):
            uow.people.add(Person(id_, id_.title(), NOW, NOW))
        for number, owner in enumerate(("ann", "ann", "bob")):
            uow.templates.add(Template(f"t{number}", owner, "model", QUALITY, NOW, unit(number)))
        uow.galleries.join("lab", "ann")
        uow.keys.add(Key("k1", "door", frozenset({"identify"}), NOW, b"digest"))
        uow.people.add(Person("dan", "Dan", NOW, NOW))
        uow.commit()
    erase(store, "dan")
    return store


def erase(store, person_id):
    with store.write() as uow:
        uow.people.erase(person_id)
        uow.erasures.add(Receipt(f"era_{person_id}", person_id, NOW, {"templates": 1}, 1, True))
        uow.commit()


def everything(store):
    with store.read() as uow:
        people = uow.people.page(PersonFilter(), after=None, limit=100)
        return {
            "people": people,
            "templates": {t.id: (t, t.vector.tobytes()) for p in people for t in uow.templates.of(p.id)},
            "members": sorted(uow.galleries.memberships()),
            "galleries": uow.galleries.page(after=None, limit=100),
            "keys": uow.keys.page(after=None, limit=100),
            "receipt": uow.erasures.get("dan"),
        }


def test_what_is_restored_is_what_was_backed_up(store, opened, tmp_path):
    done = back_up(store, tmp_path / "backup")
    assert (done.persons, done.templates) == (3, 3)
    other = opened("second")
    restored = restore(other, tmp_path / "backup")
    assert (restored.persons, restored.templates, restored.erased) == (3, 3, 0)
    assert everything(other) == everything(store)


def test_it_moves_from_sqlite_to_postgresql_and_back(store, opened, tmp_path, postgres_url):
    back_up(store, tmp_path / "backup")
    postgres = opened(url=postgres_url)
    restore(postgres, tmp_path / "backup")
    assert everything(postgres) == everything(store)
    back_up(postgres, tmp_path / "backup2")
    third = opened("third")
    restore(third, tmp_path / "backup2")
    assert everything(third) == everything(store)
    with postgres.write() as uow:
        before = uow.changes.head()
        uow.people.add(Person("eve", "Eve", NOW, NOW))
        uow.templates.add(Template("t9", "eve", "model", QUALITY, NOW, unit(9)))
        assert uow.commit() > before


def test_who_is_erased_after_the_backup_is_not_restored_and_their_id_stays_taken(store, opened, tmp_path):
    back_up(store, tmp_path / "backup")
    erase(store, "ann")
    other = opened("second")
    restored = restore(other, tmp_path / "backup")
    assert (restored.persons, restored.erased) == (2, 1)
    with other.read() as uow:
        assert uow.people.get("ann") is None
        assert uow.templates.with_ids(["t0", "t1"]) == []
    for gone in ("ann", "dan"):
        with other.write() as uow, pytest.raises(PersonExists):
            uow.people.add(Person(gone, "Somebody", NOW, NOW))


def test_a_backup_names_nobody_and_holds_no_vector(store, tmp_path):
    back_up(store, tmp_path / "backup")
    with zipfile.ZipFile(tmp_path / "backup") as archive:
        content = b"".join(archive.read(name) for name in archive.namelist())
    # None so short that it might stand in sealed bytes by chance.
    for secret in (b"Secretname", b"contract", unit(0).tobytes()[:12]):
        assert secret not in content
    assert stat.S_IMODE((tmp_path / "backup").stat().st_mode) == 0o600


def test_it_is_of_one_moment_though_others_write_meanwhile(store, opened, tmp_path):
    def enrol_meanwhile(count, numbers=iter(range(100))):  # noqa: B008 - one iterator for all calls
        with store.write() as uow:
            uow.people.add(Person(f"late-{next(numbers)}", "Late", NOW, NOW))
            uow.commit()

    done = back_up(store, tmp_path / "backup", told=enrol_meanwhile)
    assert done.persons == 3
    restored = restore(opened("second"), tmp_path / "backup")
    assert restored.persons == 3


def test_who_is_erased_while_the_backup_is_written_is_left_out(store, opened, tmp_path, monkeypatch):
    seal = store.vault.seal

    def seal_after_an_erasure(person_id, *more):
        if person_id == "ann":
            erase(store, "ann")
        return seal(person_id, *more)

    monkeypatch.setattr(store.vault, "seal", seal_after_an_erasure)
    assert back_up(store, tmp_path / "backup") == BackedUp(2, 1, back_up(store, tmp_path / "other").seq - 3)
    assert restore(opened("second"), tmp_path / "backup").persons == 2


def test_it_survives_a_rotation_of_the_keys(store, opened, tmp_path):
    back_up(store, tmp_path / "backup")
    rotate(store)
    other = opened("second")
    restore(other, tmp_path / "backup")
    assert everything(other) == everything(store)


def test_templates_that_a_rotation_seals_anew_while_the_backup_is_written_are_in_it(
    store, opened, tmp_path, monkeypatch
):
    before, frozen = everything(store), store.frozen

    @contextmanager
    def rotated_right_after():
        with frozen() as uow:
            # SQLite's moment is that of the first read, not of the BEGIN.
            uow.people.count()
            rotate(store)
            yield uow

    monkeypatch.setattr(store, "frozen", rotated_right_after)
    done = back_up(store, tmp_path / "backup")
    assert (done.persons, done.templates, done.unreadable) == (3, 3, 0)
    other = opened("second")
    assert restore(other, tmp_path / "backup").templates == 3
    assert everything(other) == before


def test_a_template_that_cannot_be_opened_is_counted_and_the_others_are_backed_up(store, opened, tmp_path):
    with store.write() as uow:
        uow.connection.execute(update(TEMPLATES).where(TEMPLATES.c.id == "t0").values(sealed=b"?" * 540))
        uow.connection.commit()
    done = back_up(store, tmp_path / "backup")
    assert (done.persons, done.templates, done.unreadable) == (3, 2, 1)
    assert restore(opened("second"), tmp_path / "backup").templates == 2


def test_a_person_whose_key_is_damaged_is_counted_and_the_others_are_backed_up(store, opened, tmp_path):
    back_up(store, tmp_path / "before")
    keys = VAULT_TABLES.tables["person_keys"]
    damaged = update(keys).where(keys.c.person_id == "ann", keys.c.purpose == TRAIL).values(wrapped=b"?" * 60)
    with store.vault.database.writing() as rows:
        assert rows._connection.execute(damaged).rowcount == 1
    done = back_up(store, tmp_path / "backup")
    assert (done.persons, done.templates, done.unreadable) == (2, 1, 1)
    assert restore(opened("second"), tmp_path / "backup").persons == 2


def test_no_seq_is_given_out_twice(store, opened, tmp_path):
    done = back_up(store, tmp_path / "backup")
    other = opened("second")
    restore(other, tmp_path / "backup")
    with other.read() as uow:
        assert uow.connection.execute(select(CHANGES.c.seq).order_by(CHANGES.c.seq).limit(1)).scalar() > done.seq


def test_a_database_that_is_not_empty_is_left_as_it_is(store, tmp_path):
    back_up(store, tmp_path / "backup")
    before = everything(store)
    with pytest.raises(Misconfigured, match="not empty"):
        restore(store, tmp_path / "backup")
    assert everything(store) == before


def test_a_file_that_is_there_is_not_written_over(store, tmp_path):
    (tmp_path / "backup").write_text("precious")
    with pytest.raises(Misconfigured, match="already"):
        back_up(store, tmp_path / "backup")
    assert (tmp_path / "backup").read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def without_links(draft, path):
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


def test_a_file_system_without_hard_links_takes_a_backup_too(store, opened, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", without_links)
    back_up(store, tmp_path / "backup")
    assert restore(opened("second"), tmp_path / "backup").persons == 3
    assert stat.S_IMODE((tmp_path / "backup").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("link", [os.link, without_links], ids=["links", "no links"])
def test_a_file_that_came_meanwhile_is_not_written_over(store, tmp_path, monkeypatch, link):
    monkeypatch.setattr(os, "link", link)
    with pytest.raises(Misconfigured, match="by now"):
        back_up(store, tmp_path / "backup", told=lambda persons: (tmp_path / "backup").write_text("precious"))
    assert (tmp_path / "backup").read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_its_name_is_on_the_disk_before_anybody_hears_of_it(store, tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(backup, "sync_folder", lambda folder: synced.append((folder, (tmp_path / "backup").exists())))
    back_up(store, tmp_path / "backup")
    assert synced == [(tmp_path, True)]


def rewritten(path: Path, change) -> Path:
    """The same zip with some entries changed."""
    changed = path.with_suffix(".changed")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            content = change(name, old.read(name))
            if content is not None:
                new.writestr(name, content)
    return changed


def add_a_key(name, content):
    forged = {"id": "k2", "name": "mine", "scopes": ["admin"], "created_at": NOW.isoformat(), "digest": "AAAA"}
    none = dict.fromkeys(("expires_at", "revoked_at", "galleries", "rate_per_minute", "concurrency"))
    return content + json.dumps(forged | none).encode() + b"\n" if name == "api_keys.ndjson" else content


def sign_anew(name, content):
    if name != "manifest.json":
        return content
    return json.dumps({**json.loads(content), "mac": "0" * 64})


@pytest.mark.parametrize(
    "change",
    [
        add_a_key,
        sign_anew,
        lambda name, content: None if name == "persons.ndjson" else content,
        lambda name, content: content[:-2] if name == "persons.ndjson" else content,
        lambda name, content: None if name == "manifest.json" else content,
    ],
    ids=["a key added", "another signature", "no persons", "cut", "no manifest"],
)
def test_an_altered_backup_is_refused_and_nothing_of_it_restored(store, opened, tmp_path, change):
    back_up(store, tmp_path / "backup")
    other = opened("second")
    with pytest.raises(Corrupt):
        restore(other, rewritten(tmp_path / "backup", change))
    with other.read() as uow:
        assert (uow.people.count(), uow.keys.count()) == (0, 0)


def test_a_backup_of_another_service_is_refused(store, tmp_path, opened):
    back_up(store, tmp_path / "backup")
    settings = Settings(home=tmp_path / "home2")
    migrate(settings.sqlalchemy_url())
    other = SqlStore(settings.sqlalchemy_url(), open_vault(settings))
    try:
        with pytest.raises(Corrupt, match="vault"):
            restore(other, tmp_path / "backup")
    finally:
        other.close()


def test_a_kill_in_the_middle_leaves_no_half_of_it(store, opened, tmp_path):
    back_up(store, tmp_path / "backup")
    other = opened("second")

    def die(persons):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore(other, tmp_path / "backup", told=die)
    with sqlite3.connect(tmp_path / "second.db") as connection:
        assert connection.execute("SELECT count(*) FROM persons").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM changes").fetchone() == (0,)
    connection.close()
    restore(other, tmp_path / "backup")
    assert everything(other) == everything(store)


def test_kept_crops_and_the_model_that_is_served_are_in_it_sealed(store, opened, tmp_path):
    crop = np.random.default_rng(1).integers(0, 256, (144, 144, 3), dtype=np.uint8)
    with store.write() as uow:
        uow.crops.keep("t0", crop)
        uow.models.serve(Served("model", "next"))
        uow.models.embed("next", [Embedded("t0", unit(9))])
        uow.commit()
    back_up(store, tmp_path / "backup")
    with zipfile.ZipFile(tmp_path / "backup") as archive:
        assert crop.tobytes()[:30] not in b"".join(archive.read(name) for name in archive.namelist())
    other = opened("second")
    restore(other, tmp_path / "backup")
    with other.read() as uow:
        np.testing.assert_array_equal(uow.crops.of("ann")["t0"], crop)
        # What was being prepared is not: it is made again from the crops.
        assert (uow.models.served(), uow.models.embedded("next")) == (Served("model"), (0, 1))


def test_a_crop_that_cannot_be_opened_keeps_nobody_from_being_backed_up(store, opened, tmp_path):
    with store.write() as uow:
        uow.crops.keep("t0", np.zeros((144, 144, 3), np.uint8))
        uow.connection.execute(update(TEMPLATE_PARTS).values(sealed=b"altered"))
        uow.commit()
    assert back_up(store, tmp_path / "backup").persons == 3
    assert restore(opened("second"), tmp_path / "backup").templates == 3
