"""What a thief, a backup and the files of the home give away: nothing of whom was erased, no face without the keys."""

import base64
import hashlib
import itertools
import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.actions.erase import Erase
from app.clock import RandomIdentifiers, SystemClock
from app.domain.audit import Entry
from app.errors import Misconfigured
from app.index.flat import FlatIndex
from app.index.follow import FollowedGallery
from app.settings import Settings
from app.store.opening import open_rows
from app.store.vault.sealing import template_belonging

NAME = "Wilhelmina Unmistakable"
KEY_BYTES = 32


@pytest.fixture
def settings(tmp_path):
    return Settings(home=tmp_path / "home")


@pytest.fixture
def start(settings):
    """Opens the home as a start of the service does."""
    made = []

    def begin():
        made.append(open_rows(settings))
        return made[-1]

    yield begin
    for store in made:
        store.close()


@pytest.fixture
def enrolled(start, person, template, noon):
    """A home with `gone` and `stays`, two templates each, and the trail of it; the store and the vectors of both."""
    store = start()
    looks = {who: [template(f"tpl_{who}_{n}", f"per_{who}") for n in range(2)] for who in ("gone", "stays")}
    for who, name in (("gone", NAME), ("stays", "Somebody Who Stays")):
        with store.write() as uow:
            uow.people.add(
                person(f"per_{who}", name, metadata={"note": f"{name} has a desk"}, consent=f"{name} agrees")
            )
            for look in looks[who]:
                uow.templates.add(look)
            uow.audit.append(Entry("person.enrolled", noon, person_id=f"per_{who}", private={"name": name}))
            uow.commit()
    return store, {who: [look.vector for look in taken] for who, taken in looks.items()}


def erase(store, person_id):
    gallery = FollowedGallery(store, FlatIndex, "model")
    gallery.rebuild()
    return Erase(store, gallery, SystemClock(), RandomIdentifiers(), pytest.fail)(person_id)


def as_found(vector: np.ndarray) -> Iterator[bytes]:
    """Pieces of a vector, long enough to be no accident, in every way that it could have been written."""
    for kind in ("<f4", ">f4", "<f8", ">f8", "<f2", ">f2"):
        raw = vector.astype(kind).tobytes()
        for piece in (raw[:16], raw[-16:]):
            yield piece
            yield piece.hex().encode()
            yield piece.hex().upper().encode()
        for shift in range(3):
            yield base64.b64encode(raw[shift : shift + 15])
            yield base64.urlsafe_b64encode(raw[shift : shift + 15])
    yield json.dumps([float(number) for number in vector[:2]])[1:-1].encode()
    yield b",".join(f"{number:.7f}".encode() for number in vector[:2])


def home_files(settings) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in settings.home.rglob("*") if path.is_file()}


def where(settings, traces) -> list[str]:
    return [
        f"{name}: {trace[:24]!r}"
        for name, content in home_files(settings).items()
        for trace in traces
        if trace in content
    ]


def database(settings) -> sqlite3.Connection:
    return closing(sqlite3.connect(settings.home / "onelook.db"))


def sealed_of(settings, person_id) -> list[bytes]:
    with database(settings) as rows:
        return [sealed for (sealed,) in rows.execute("SELECT sealed FROM templates WHERE person_id = ?", (person_id,))]


def keys_of(store, person_id) -> list[tuple[str, bytes, bytes]]:
    """(id, wrapped, plain) of each key in the vault."""
    with store.vault.database.reading() as rows:
        held = rows.behind("", limit=1000)
    return [(key.key_id, key.wrapped, store.vault.unwrap(key).secret) for key in held if key.person_id == person_id]


def test_no_file_of_the_home_holds_anything_of_somebody_erased(enrolled, settings):
    store, vectors = enrolled
    told = [NAME.encode(), NAME.casefold().encode(), b"Unmistakable", b"Unmistakable".hex().encode()]
    sealed, keys = sealed_of(settings, "per_gone"), keys_of(store, "per_gone")
    assert (len(sealed), len(keys)) == (2, 2)
    with database(settings) as rows:
        (template_key,) = rows.execute("SELECT DISTINCT key_id FROM templates WHERE person_id = 'per_gone'").fetchone()
    # The rows of the trail stay, sealed for ever, and with them the name of the key that they were sealed with.
    kept = [*sealed, template_key.encode(), *(wrapped for _, wrapped, _ in keys)]
    never = [form for vector in vectors["gone"] for form in as_found(vector)]
    never += [form for _, _, plain in keys for form in (plain, plain.hex().encode(), base64.b64encode(plain))]
    # The search can find: what is kept is there until it is erased, and what must never be there is not.
    assert len({trace for trace in (*kept, told[0]) if where(settings, [trace])}) == len(kept) + 1
    assert where(settings, never) == []

    receipt = erase(store, "per_gone")
    assert (receipt.removed["keys"], receipt.removed["templates"], receipt.search_missed) == (2, 2, True)
    assert where(settings, [*told, *kept, *never]) == []
    store.close()
    assert where(settings, [*told, *kept, *never]) == []
    assert where(settings, [b"Somebody Who Stays"]) != []


def test_no_table_names_somebody_erased_but_where_the_id_must_stay_taken(enrolled, settings):
    store, _ = enrolled
    erase(store, "per_gone")
    naming = set()
    for file in ("onelook.db", "keys/people.db"):
        with closing(sqlite3.connect(settings.home / file)) as rows:
            for (table,) in rows.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                if any("gone" in str(value) for row in rows.execute(f'SELECT * FROM "{table}"') for value in row):
                    naming.add(table)
    # The feed names the templates and the person, so that every index drops them.
    assert naming == {"erased_ids", "erasures", "changes"}


def attacked(rows: sqlite3.Connection, more_keys=()) -> dict[str, bytes]:
    """Template id -> what somebody opens who tries everything in the database as a key, in every form."""
    values = set(more_keys)
    for (table,) in rows.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        for value in itertools.chain.from_iterable(rows.execute(f'SELECT * FROM "{table}"')):
            raw = value if isinstance(value, bytes) else str(value).encode()
            values |= {raw[n : n + KEY_BYTES] for n in range(len(raw) - KEY_BYTES + 1)}
            values.add(hashlib.sha256(raw).digest())
            for decode in (base64.b64decode, bytes.fromhex):
                try:
                    values.add(decode(str(value))[:KEY_BYTES])
                except ValueError:
                    continue
    ciphers = [AESGCM(value) for value in values if len(value) == KEY_BYTES]
    assert len(ciphers) > 1000
    opened = {}
    for id_, person, model, sealed in rows.execute("SELECT id, person_id, model_id, sealed FROM templates"):
        for cipher in ciphers:
            try:
                opened[id_] = cipher.decrypt(sealed[:12], sealed[12:], template_belonging(id_, person, model))
            except InvalidTag:
                continue
    return opened


def test_a_stolen_database_yields_no_usable_template(enrolled, settings, tmp_path):
    store, vectors = enrolled
    for file in settings.home.glob("onelook.db*"):
        shutil.copy(file, tmp_path / file.name)
    with closing(sqlite3.connect(tmp_path / "onelook.db")) as stolen:
        assert attacked(stolen) == {}
        sealed = [blob for (blob,) in stolen.execute("SELECT sealed FROM templates")]
        # The attack is a good one: with the keys of one person it opens that person's templates, and only those.
        with_keys = attacked(stolen, [plain for _, _, plain in keys_of(store, "per_gone")])
    assert {id_: np.frombuffer(plain, "<f4").tolist() for id_, plain in with_keys.items()} == {
        f"tpl_gone_{n}": vector.tolist() for n, vector in enumerate(vectors["gone"])
    }
    # Nor does what is stored, read as numbers at any place, look like anybody.
    for blob, shift in itertools.product(sealed, range(len(sealed[0]) - 512 + 1)):
        signs = 1.0 - 2 * (np.frombuffer(blob[shift : shift + 512], "<u4") >> 31)
        for vector in (*vectors["gone"], *vectors["stays"]):
            assert abs(signs @ np.sign(vector)) / 128 < 0.6


@pytest.fixture
def backed_up(enrolled, settings, tmp_path):
    """A backup of the database from before the erasure, as a file; the erasure is done."""
    store, vectors = enrolled
    backup = tmp_path / "backup.db"
    with database(settings) as rows, closing(sqlite3.connect(backup)) as copy:
        rows.backup(copy)
    erase(store, "per_gone")
    store.close()
    return backup, vectors


def test_a_backup_from_before_an_erasure_opens_nothing_of_the_person_with_all_the_keys_there_are(backed_up, start):
    backup, vectors = backed_up
    keys = [plain for who in ("per_gone", "per_stays") for _, _, plain in keys_of(start(), who)]
    with closing(sqlite3.connect(backup)) as copy:
        opened = attacked(copy, keys)
    assert sorted(opened) == ["tpl_stays_0", "tpl_stays_1"]
    assert opened["tpl_stays_0"] == vectors["stays"][0].tobytes()


def test_a_backup_that_is_put_back_recognizes_nobody_erased(backed_up, start, settings):
    backup, vectors = backed_up
    for file in settings.home.glob("onelook.db*"):
        file.unlink()
    shutil.copy(backup, settings.home / "onelook.db")
    store, unreadable = start(), []
    gallery = FollowedGallery(store, FlatIndex, "model", unreadable.append)
    gallery.rebuild()
    assert gallery.size() == (1, 2)
    assert len(unreadable) == 2
    assert all("tpl_gone_" in told for told in unreadable)
    for vector in vectors["gone"]:
        assert not any(hit.template_id.startswith("tpl_gone") for hit in gallery.search(vector, 10))
    assert store.vault.shredded(["per_gone", "per_stays"]) == {"per_gone"}


def test_a_home_without_its_keys_of_people_is_refused_unless_it_is_empty(enrolled, start, settings):
    store, _ = enrolled
    store.close()
    kept = settings.home / "people.db"
    (settings.home / "keys" / "people.db").rename(kept)
    with pytest.raises(Misconfigured, match=r"people\.db.* are missing.*put them back"):
        start()
    assert not (settings.home / "keys" / "people.db").exists()
    kept.rename(settings.home / "keys" / "people.db")
    with start().read() as uow:
        assert len(uow.templates.of("per_stays")) == 2
    for file in settings.home.glob("onelook.db*"):
        file.unlink()
    (settings.home / "keys" / "people.db").unlink()
    for file in (settings.home / "keys").glob("people.db-*"):
        file.unlink()
    start()
