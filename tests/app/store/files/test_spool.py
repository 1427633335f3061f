import io
import os
import stat
import time
import zipfile

import pytest

from app.domain.batch import Place
from app.errors import UnreadableBatch, UnreadableEntry
from app.store.files.batch_file import Limits
from app.store.files.spool import FileSpool

LIMITS = Limits(items=50, photo_bytes=300_000, bytes=1_000_000)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "home" / "batches"


@pytest.fixture
def spool(folder):
    return FileSpool(folder, LIMITS)


def zipped(**photos):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for person, content in photos.items():
            file.writestr(f"{person}/secret-name.jpg", content)
    return out.getvalue()


def kept(spool, content, job_id="job_1", form="zip"):
    draft = spool.draft(form)
    draft.write(content)
    items = draft.items()
    draft.keep(job_id)
    return items


def test_an_upload_is_kept_for_its_owner_alone_and_read_photo_by_photo(spool, folder):
    items = kept(spool, zipped(Ada=b"ada's face", Bob=b"bob's face"))
    assert [spool.read("job_1", item.place) for item in items] == [b"ada's face", b"bob's face"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()] == [0o600]
    assert spool.held() == ["job_1"]


def test_the_digest_is_that_of_what_was_sent(spool):
    import hashlib

    content = zipped(Ada=b"a")
    draft = spool.draft("zip")
    for begin in range(0, len(content), 7):
        draft.write(content[begin : begin + 7])
    draft.items()
    assert draft.digest == hashlib.sha256(content).hexdigest()
    assert draft.bytes == len(content)
    draft.discard()


def test_the_directory_of_a_zip_is_not_kept(spool, folder):
    kept(spool, zipped(Ada=b"a"))
    assert b"PK\1\2" not in (folder / "job_1.batch").read_bytes()


def test_blanking_leaves_neither_photo_nor_name_and_the_others_whole(spool, folder):
    ada, bob = kept(spool, zipped(Ada=b"ada's face" * 20_000, Bob=b"bob's face"))
    spool.blank("job_1", [ada.place])
    content = (folder / "job_1.batch").read_bytes()
    assert b"ada" not in content
    assert b"Ada" not in content
    assert spool.read("job_1", bob.place) == b"bob's face"
    with pytest.raises(UnreadableEntry):
        spool.read("job_1", ada.place)
    spool.blank("job_2", [ada.place])


def test_a_file_is_kept_without_those_who_were_erased(spool, folder):
    draft = spool.draft("lines")
    draft.write(b'{"name": "Ada"}\n{"name": "Bob"}\n')
    ada, bob = draft.items()
    draft.keep("job_1", [ada.place])
    assert (folder / "job_1.batch").read_bytes() == bytes(16) + b'{"name": "Bob"}\n'
    assert spool.read("job_1", bob.place) == b'{"name": "Bob"}\n'


def test_a_place_beyond_the_end_is_no_photo(spool):
    kept(spool, zipped(Ada=b"a"))
    with pytest.raises(UnreadableEntry):
        spool.read("job_1", Place(10, 10, 10_000, 9_990))
    with pytest.raises(FileNotFoundError):
        spool.read("job_2", Place(0, 0, 1, 1))


def test_what_was_discarded_or_removed_is_gone(spool, folder):
    draft = spool.draft("zip")
    draft.write(b"x")
    draft.discard()
    draft.discard()
    kept(spool, zipped(Ada=b"a"))
    assert spool.remove("job_1") is True
    assert spool.remove("job_1") is False
    assert list(folder.iterdir()) == []


def test_discarding_what_was_kept_changes_nothing(spool):
    draft = spool.draft("zip")
    draft.write(zipped(Ada=b"a"))
    draft.items()
    draft.keep("job_1")
    draft.discard()
    assert spool.held() == ["job_1"]


def test_sweeps_uploads_that_were_broken_off_and_tells_of_old_files(spool, folder):
    kept(spool, zipped(Ada=b"a"))
    (folder / "0123456789abcdef.part").write_bytes(b"half")  # as a kill leaves it
    assert spool.sweep(60) == []
    assert len(list(folder.iterdir())) == 2
    for path in folder.iterdir():
        os.utime(path, (time.time() - 120,) * 2)
    assert spool.sweep(60) == ["job_1"]
    assert [path.name for path in folder.iterdir()] == ["job_1.batch"]


def test_nothing_is_held_before_the_first_upload(spool, folder):
    assert (spool.held(), spool.sweep(0), spool.remove("job_1")) == ([], [], False)
    assert not folder.exists()


def test_leaves_room_on_the_disk_for_others(spool, monkeypatch):
    draft = spool.draft("zip")
    monkeypatch.setattr("app.store.files.spool.RESERVE_BYTES", 2**62)
    with pytest.raises(OSError, match="space"):
        draft.write(b"x")
    draft.discard()


def test_no_name_leads_out_of_the_folder(spool):
    with pytest.raises(ValueError, match="no id"):
        spool.remove("../../master")


def test_a_zip_that_is_none_stays_whole_until_it_is_discarded(spool, folder):
    draft = spool.draft("zip")
    draft.write(b"no zip at all")
    with pytest.raises(UnreadableBatch):
        draft.items()
    draft.discard()
    assert list(folder.iterdir()) == []
