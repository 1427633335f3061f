import base64
import os
import stat
import threading

import pytest

from app.errors import Misconfigured, SealBroken
from app.store.vault.ring import MasterRing, master_id, read_keys

OLD, NEW = bytes(range(32)), bytes(range(32, 64))


def text_of(*keys):
    return ",".join(base64.b64encode(key).decode() for key in keys)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "home" / "keys" / "master.key"


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(0o600)
    path.write_bytes(content)


def test_makes_a_key_once_that_only_the_owner_may_read(path, tmp_path):
    ring = MasterRing.of_file(path)
    (key,) = read_keys(path)
    assert len(key) == 32
    assert path.read_bytes() == base64.b64encode(key) + b"\n"
    assert ring.ids == MasterRing.of_file(path).ids == (master_id(key),)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [p.name for p in path.parent.iterdir()] == ["master.key"]
    assert MasterRing.of_file(tmp_path / "other" / "master.key").ids != ring.ids


def test_starts_at_once_agree_on_one_key(path):
    barrier = threading.Barrier(8)
    ids = []

    def start() -> None:
        barrier.wait(10)
        ids.append(MasterRing.of_file(path).ids)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(ids) == 8
    assert len(set(ids)) == 1
    assert [p.name for p in path.parent.iterdir()] == ["master.key"]


def test_reads_the_file_that_the_first_version_wrote(path):
    write(path, OLD)
    assert MasterRing.of_file(path).ids == (master_id(OLD),)


def test_holds_several_keys_the_first_one_first(path):
    write(path, b"\n".join(base64.b64encode(key) for key in (NEW, OLD, NEW)) + b"\n\n")
    assert MasterRing.of_file(path).ids == MasterRing.given(text_of(NEW, OLD)).ids == (master_id(NEW), master_id(OLD))


@pytest.mark.parametrize("content", [b"", b"\n", b"short", b"\xff" * 40, base64.b64encode(b"short"), OLD * 2])
def test_refuses_what_are_no_keys(path, content):
    write(path, content)
    with pytest.raises(Misconfigured, match=r"32 bytes in base64") as refusal:
        MasterRing.of_file(path)
    assert str(path) in refusal.value.detail


@pytest.mark.parametrize("text", ["", ",", "c2hvcnQ=", "?" * 44, text_of(OLD)[:-2]])
def test_refuses_given_keys_that_are_none_and_does_not_repeat_them(text):
    with pytest.raises(Misconfigured, match="ONELOOK_MASTER_KEY must hold") as refusal:
        MasterRing.given(text)
    assert len(text) < 8 or text not in refusal.value.detail


@pytest.mark.skipif(os.name != "posix", reason="modes are of POSIX")
def test_refuses_a_key_that_others_may_read(path):
    MasterRing.of_file(path)
    path.chmod(0o640)
    with pytest.raises(Misconfigured, match="chmod 600"):
        MasterRing.of_file(path)


def test_makes_no_new_key_where_something_was_sealed_with_the_lost_one(path):
    with pytest.raises(Misconfigured, match=r"put keys/master\.key back"):
        MasterRing.of_file(path, anything_sealed=lambda: True)
    assert not path.exists()
    assert len(MasterRing.of_file(path, anything_sealed=lambda: False).ids) == 1


def test_takes_the_key_that_another_process_made_while_it_looked_for_sealed_rows(path):
    made = []
    ring = MasterRing.of_file(path, anything_sealed=lambda: bool(made.append(MasterRing.of_file(path))) or True)
    assert ring.ids == made[0].ids


def test_shows_no_key_in_its_texts(path):
    write(path, OLD)
    for ring in (MasterRing.of_file(path), MasterRing.given(text_of(OLD, NEW))):
        shown = repr(ring) + repr(vars(ring))
        for key in (OLD, NEW):
            assert not any(told in shown for told in (repr(key), key.hex(), text_of(key)))


def test_reads_the_file_again_for_a_key_that_it_does_not_know(path):
    mine, theirs = MasterRing.of_file(path), MasterRing.of_file(path)
    (old,) = mine.ids
    fresh = theirs.add()
    assert theirs.ids == (fresh, old)
    assert mine.ids == (old,)
    mine.cipher(fresh)
    assert mine.ids == (fresh, old)


def test_an_unknown_key_is_named_with_what_to_do(path):
    for ring, remedy in ((MasterRing.of_file(path), "put the right keys/master.key back"), (MasterRing([OLD]), "give")):
        with pytest.raises(SealBroken, match=f"0123abcd.*{ring.ids[0]}.*{remedy}"):
            ring.cipher("0123abcd")


def test_keeps_one_key_and_leaves_the_file_as_it_was_made(path):
    ring = MasterRing.of_file(path)
    fresh = ring.add()
    assert ring.keep_only(fresh)
    assert ring.ids == MasterRing.of_file(path).ids == (fresh,)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["master.key"]


def test_a_start_deletes_what_a_killed_process_left_half_done(path):
    MasterRing.of_file(path)
    left, young = path.with_name(".master.key.0123"), path.with_name(".master.key.4567")
    for draft in (left, young):
        draft.touch(0o600)
    os.utime(left, (0, 0))
    MasterRing.of_file(path)
    assert sorted(p.name for p in path.parent.iterdir()) == [young.name, "master.key"]


def test_given_keys_cannot_be_added_to_and_say_how_it_is_done():
    ring = MasterRing.given(text_of(OLD))
    with pytest.raises(Misconfigured, match="ONELOOK_MASTER_KEY=<new>,<old>"):
        ring.add()
    assert ring.keep_only(master_id(OLD))
    assert not MasterRing.given(text_of(NEW, OLD)).keep_only(master_id(NEW))


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_file_that_cannot_be_written_says_how_it_is_done_by_hand(path):
    ring = MasterRing.of_file(path)
    path.parent.chmod(0o500)
    try:
        with pytest.raises(Misconfigured, match="by hand"):
            ring.add()
        assert not ring.keep_only(ring.ids[0])
    finally:
        path.parent.chmod(0o700)
