import json
import os
import secrets
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.index import snapshot
from app.index.snapshot import Snapshot, read, remove, write

MODEL = "sface-1"


class Cipher:
    """AES-GCM under one key, as the service's own."""

    def __init__(self, key=b"k" * 32):
        self._aes = AESGCM(key)

    def seal(self, content, belonging):
        nonce = secrets.token_bytes(12)
        return nonce + self._aes.encrypt(nonce, content, belonging)

    def open(self, sealed, belonging):
        return self._aes.decrypt(sealed[:12], sealed[12:], belonging)


@pytest.fixture
def cipher():
    return Cipher()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "snapshots" / "index"


@pytest.fixture
def reasons():
    return []


def some(count=50, seq=7, seed=1):
    vectors = np.random.default_rng(seed).normal(size=(count, 128))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return Snapshot(seq, MODEL, [f"tpl_{n}" for n in range(count)], [f"pérson {n // 3}" for n in range(count)], vectors)


def assert_same(found, written):
    assert (found.seq, found.model_id) == (written.seq, written.model_id)
    assert found.ids == written.ids
    assert found.owners == written.owners
    assert found.vectors.dtype == np.float32
    assert found.vectors.flags.aligned
    np.testing.assert_array_equal(found.vectors, written.vectors)


@pytest.fixture
def small_pieces(monkeypatch):
    """Pieces of four rows, so that a small snapshot has many."""
    monkeypatch.setattr(snapshot, "PIECE", 2048)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 50])
def test_reads_what_was_written(path, cipher, reasons, count, small_pieces):
    written = some(count)
    write(path, written, cipher.seal)
    assert_same(read(path, MODEL, cipher.open, reasons.append), written)
    assert reasons == []


def test_a_newer_one_takes_the_place_of_an_older_one(path, cipher):
    write(path, some(50), cipher.seal)
    newer = some(20, seq=9, seed=2)
    write(path, newer, cipher.seal)
    assert_same(read(path, MODEL, cipher.open), newer)
    assert [file.name for file in path.parent.iterdir()] == ["index"]


def test_is_for_its_owner_alone_and_shows_no_vector_and_no_id(path, cipher):
    written = some()
    write(path, written, cipher.seal)
    assert path.stat().st_mode & 0o777 == 0o600
    content = path.read_bytes()
    assert written.vectors[3].tobytes()[:8] not in content
    assert b"tpl_1" not in content
    assert "vectors" not in repr(written)
    assert "tpl_" not in repr(written)


def test_where_there_is_none_there_is_nothing_to_report(path, cipher, reasons):
    assert read(path, MODEL, cipher.open, reasons.append) is None
    assert reasons == []
    assert not remove(path)


def test_ids_and_vectors_must_match():
    one = some(3)
    with pytest.raises(ValueError, match="each row"):
        Snapshot(1, MODEL, one.ids[:2], one.owners, one.vectors)
    with pytest.raises(ValueError, match="128"):
        Snapshot(1, MODEL, one.ids, one.owners, one.vectors[:, :64])


def test_an_id_that_would_be_read_as_two_is_not_written(path, cipher):
    one = some(2)
    with pytest.raises(ValueError, match="NUL"):
        write(path, Snapshot(1, MODEL, ["a\0b", "c"], one.owners, one.vectors), cipher.seal)
    assert not path.exists()


def test_a_cut_at_any_place_is_noticed(path, cipher, reasons, small_pieces):
    write(path, some(), cipher.seal)
    whole = path.read_bytes()
    for length in [*range(0, 400, 7), *range(400, len(whole), 997), len(whole) - 1]:
        path.write_bytes(whole[:length])
        assert read(path, MODEL, cipher.open, reasons.append) is None
        assert len(reasons) == 1
        assert "index is not used" in reasons.pop()


def test_a_flipped_bit_at_any_place_is_noticed(path, cipher, reasons, small_pieces):
    write(path, some(), cipher.seal)
    whole = path.read_bytes()
    chance = np.random.default_rng(3)
    for place in [*range(300), *chance.choice(len(whole), 300, replace=False)]:
        altered = bytearray(whole)
        altered[place] ^= 1 << int(chance.integers(8))
        path.write_bytes(altered)
        assert read(path, MODEL, cipher.open, reasons.append) is None, place
        assert len(reasons) == 1
        reasons.clear()


def test_something_behind_the_end_is_noticed(path, cipher, reasons):
    write(path, some(), cipher.seal)
    with path.open("ab") as file:
        file.write(b"x")
    assert read(path, MODEL, cipher.open, reasons.append) is None
    assert "behind its end" in reasons[0]


def pieces_of(whole):
    """The file's head, and its sealed pieces with their lengths."""
    end = 12 + int.from_bytes(whole[8:12], "big")
    head, pieces = whole[:end], []
    while end < len(whole):
        length = 4 + int.from_bytes(whole[end : end + 4], "big")
        pieces.append(whole[end : end + length])
        end += length
    return head, pieces


def test_pieces_that_are_swapped_repeated_left_out_or_of_another_snapshot_are_noticed(
    path, cipher, reasons, small_pieces
):
    write(path, some(), cipher.seal)
    head, pieces = pieces_of(path.read_bytes())
    # The same rows under the same seq, sealed by the same key.
    write(path, some(), cipher.seal)
    others = pieces_of(path.read_bytes())[1]
    assert len(pieces) == len(others) > 10
    for changed in (
        [*pieces[:5], pieces[6], pieces[5], *pieces[7:]],
        [*pieces[:6], pieces[5], *pieces[7:]],
        [*pieces[:5], *pieces[6:]],
        [*pieces, pieces[-1]],
        [*pieces[:5], others[5], *pieces[6:]],
        pieces[:-1],
        [],
    ):
        path.write_bytes(head + b"".join(changed))
        assert read(path, MODEL, cipher.open, reasons.append) is None
    assert len(reasons) == 7
    path.write_bytes(head + b"".join(pieces))
    assert_same(read(path, MODEL, cipher.open), some())


def with_header(whole, **changes):
    head, pieces = pieces_of(whole)
    header = json.dumps(json.loads(head[12:]) | changes, sort_keys=True).encode()
    return head[:8] + len(header).to_bytes(4, "big") + header + b"".join(pieces)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"seq": 8}, "altered"),
        ({"seq": -1}, "header"),
        ({"seq": True}, "header"),
        ({"seq": "7"}, "header"),
        ({"count": 49}, "altered"),
        ({"count": 2**50}, "short"),
        ({"ids_bytes": 10**12}, "short"),
        ({"model_id": "sface-2"}, "another model"),
        ({"format": 2}, "another version"),
        ({"of": "x" * 5000}, "header"),
    ],
)
def test_a_changed_header_opens_nothing(path, cipher, reasons, changes, reason):
    write(path, some(), cipher.seal)
    path.write_bytes(with_header(path.read_bytes(), **changes))
    assert read(path, MODEL, cipher.open, reasons.append) is None
    assert reason in reasons[0]


def test_another_key_and_another_model_open_nothing(path, cipher, reasons):
    write(path, some(), cipher.seal)
    assert read(path, MODEL, Cipher(b"o" * 32).open, reasons.append) is None
    assert "another key" in reasons.pop()
    assert read(path, "sface-2", cipher.open, reasons.append) is None
    assert "another model" in reasons.pop()
    assert read(path, MODEL, cipher.open, reasons.append) is not None


def test_a_key_that_is_gone_is_reported_like_any_other_fault(path, cipher, reasons):
    def no_key(sealed, belonging):
        raise LookupError("no key of that id")

    write(path, some(), cipher.seal)
    assert read(path, MODEL, no_key, reasons.append) is None
    assert "LookupError" in reasons[0]


def test_a_file_that_cannot_be_read_is_reported_and_not_raised(path, cipher, reasons):
    path.mkdir(parents=True)
    assert read(path, MODEL, cipher.open, reasons.append) is None
    assert "IsADirectoryError" in reasons[0]


def test_a_disk_that_is_full_leaves_the_older_one_and_no_draft(path, cipher):
    write(path, some(), cipher.seal)
    calls = []

    def full(content, belonging):
        calls.append(1)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        return cipher.seal(content, belonging)

    with pytest.raises(OSError, match="No space"):
        write(path, some(20, seq=9), full)
    assert_same(read(path, MODEL, cipher.open), some())
    assert [file.name for file in path.parent.iterdir()] == ["index"]


KILLED = """
    import os, signal, sys
    from pathlib import Path
    import numpy as np
    from app.index import snapshot
    class Plain:
        @staticmethod
        def seal(content, belonging): return content
    def killed(self, target): os.kill(os.getpid(), signal.SIGKILL)
    vectors = np.eye(128, dtype=np.float32)
    names = [str(n) for n in range(128)]
    Path.replace = killed
    snapshot.write(Path(sys.argv[1]), snapshot.Snapshot(99, "sface-1", names, names, vectors), Plain.seal)
"""


@pytest.mark.skipif(os.name != "posix", reason="kills by a signal")
def test_a_kill_before_the_rename_leaves_the_older_one_whole(path, cipher, reasons):
    write(path, some(), cipher.seal)
    command = (sys.executable, "-W", "ignore", "-c", textwrap.dedent(KILLED), str(path))
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    (draft,) = path.parent.glob(".index.*.part")
    assert draft.stat().st_mode & 0o777 == 0o600
    assert_same(read(path, MODEL, cipher.open, reasons.append), some())
    assert reasons == []
    # Not at once: another process might be writing it.
    write(path, some(20, seq=8), cipher.seal)
    assert draft.exists()
    os.utime(draft, (time.time() - 4000,) * 2)
    write(path, some(20, seq=9), cipher.seal)
    assert not draft.exists()


def test_removing_takes_away_the_drafts_too(path, cipher, reasons):
    write(path, some(), cipher.seal)
    draft = path.with_name(".index.0badcafe.part")
    draft.write_bytes(b"half")
    other = path.with_name("index.of.another")
    other.write_bytes(b"whole")
    assert remove(path)
    assert [file.name for file in path.parent.iterdir()] == [other.name]
    assert read(path, MODEL, cipher.open, reasons.append) is None
    assert reasons == []
    draft.write_bytes(b"half")
    assert remove(path)
    assert not remove(path)
