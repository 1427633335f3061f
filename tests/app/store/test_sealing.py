import os
import stat
import threading

import numpy as np
import pytest
from sqlalchemy import create_engine, text

from app.errors import Corrupt, Misconfigured, SealBroken
from app.store.sealing import Sealer, master_key
from app.store.unit_of_work import SqlStore

VECTOR = np.linspace(-1, 1, 128, dtype=np.float32)
WHOSE = ("tpl_1", "per_1", "model")


def test_opens_what_it_sealed_bit_for_bit(sealer):
    sealed = sealer.seal(VECTOR, *WHOSE)
    assert len(sealed) == 12 + 512 + 16
    opened = sealer.open(sealed, sealer.key_id, *WHOSE)
    assert opened.dtype == np.float32
    assert opened.tobytes() == VECTOR.tobytes()


def test_seals_the_same_vector_differently_each_time(sealer):
    assert len({sealer.seal(VECTOR, *WHOSE)[:12] for _ in range(100)}) == 100


@pytest.mark.parametrize("place", [0, 11, 12, 300, 523, 524, 539])
def test_refuses_what_was_altered_anywhere(sealer, place):
    sealed = bytearray(sealer.seal(VECTOR, *WHOSE))
    sealed[place] ^= 1
    with pytest.raises(SealBroken, match="tpl_1"):
        sealer.open(bytes(sealed), sealer.key_id, *WHOSE)


@pytest.mark.parametrize("length", [0, 5, 12, 20, 28, 539])
def test_refuses_what_was_cut(sealer, length):
    with pytest.raises(SealBroken):
        sealer.open(sealer.seal(VECTOR, *WHOSE)[:length], sealer.key_id, *WHOSE)


@pytest.mark.parametrize(
    "whose",
    [
        ("tpl_2", "per_1", "model"),
        ("tpl_1", "per_2", "model"),
        ("tpl_1", "per_1", "other"),
        ("tpl_1p", "er_1", "model"),
    ],
)
def test_refuses_a_seal_moved_to_another_row(sealer, whose):
    with pytest.raises(SealBroken):
        sealer.open(sealer.seal(VECTOR, *WHOSE), sealer.key_id, *whose)


def test_names_both_keys_when_the_key_is_another_one(sealer):
    other = Sealer(b"k" * 32)
    with pytest.raises(SealBroken, match=f"{sealer.key_id}.*{other.key_id}"):
        other.open(sealer.seal(VECTOR, *WHOSE), sealer.key_id, *WHOSE)
    with pytest.raises(SealBroken):
        other.open(sealer.seal(VECTOR, *WHOSE), other.key_id, *WHOSE)


def test_a_row_altered_in_the_database_is_corrupt_and_the_others_still_open(url, sealer, person, template):
    store = SqlStore(url, sealer)
    with store.write() as uow:
        for n in (1, 2):
            uow.people.add(person(f"per_{n}"))
            uow.templates.add(template(f"tpl_{n}", f"per_{n}"))
        uow.commit()
    engine = create_engine(url)
    with engine.begin() as connection:
        # Ada gets Grace's face: moved whole, so that only the bound ids can tell.
        connection.execute(
            text("UPDATE templates SET sealed = (SELECT sealed FROM templates WHERE id = 'tpl_2') WHERE id = 'tpl_1'")
        )
    engine.dispose()
    with store.read() as uow:
        with pytest.raises(Corrupt, match="tpl_1"):
            uow.templates.of("per_1")
        assert len(uow.templates.of("per_2")) == 1
    store.close()


def test_makes_a_key_once_that_only_the_owner_may_read(tmp_path):
    home = tmp_path / "home"
    key = master_key(home)
    path = home / "keys" / "master.key"
    assert len(key) == 32
    assert path.read_bytes() == key == master_key(home)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [p.name for p in path.parent.iterdir()] == ["master.key"]
    assert master_key(tmp_path / "other") != key


def test_starts_at_once_agree_on_one_key(tmp_path):
    barrier = threading.Barrier(8)
    keys = []

    def start() -> None:
        barrier.wait(10)
        keys.append(master_key(tmp_path))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(keys) == 8
    assert len(set(keys)) == 1
    assert [p.name for p in (tmp_path / "keys").iterdir()] == ["master.key"]


def test_refuses_a_key_of_the_wrong_length(tmp_path):
    master_key(tmp_path)
    (tmp_path / "keys" / "master.key").write_bytes(b"short")
    with pytest.raises(Misconfigured, match="32 bytes"):
        master_key(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="modes are of POSIX")
def test_refuses_a_key_that_others_may_read(tmp_path):
    master_key(tmp_path)
    (tmp_path / "keys" / "master.key").chmod(0o640)
    with pytest.raises(Misconfigured, match="chmod 600"):
        master_key(tmp_path)


def test_shows_no_key_in_its_text(sealer):
    assert bytes(range(32)).hex() not in repr(vars(sealer))
    assert repr(bytes(range(32))) not in repr(vars(sealer))


def test_makes_no_new_key_where_something_was_sealed_with_the_lost_one(tmp_path):
    with pytest.raises(Misconfigured, match=r"put keys/master\.key back"):
        master_key(tmp_path, anything_sealed=lambda: True)
    assert not (tmp_path / "keys" / "master.key").exists()
    assert len(master_key(tmp_path, anything_sealed=lambda: False)) == 32


def test_takes_the_key_that_another_process_made_while_it_looked_for_sealed_rows(tmp_path):
    made = []
    assert master_key(tmp_path, anything_sealed=lambda: bool(made.append(master_key(tmp_path))) or True) == made[0]
