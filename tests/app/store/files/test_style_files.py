import os
import stat
import threading

import pytest

from app.store.files.style_files import FileStyleFiles


@pytest.fixture
def files(tmp_path):
    return FileStyleFiles(tmp_path / "style")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "style"


def test_gives_back_what_was_put(files):
    files.make("sty_1")
    files.put("sty_1", "content", b"a picture")
    files.put("sty_1", "3/checkpoint-40", b"a state")
    assert files.get("sty_1", "content") == b"a picture"
    with files.open("sty_1", "3/checkpoint-40") as file:
        assert file.read() == b"a state"
    assert files.names("sty_1") == ["3/checkpoint-40", "content"]
    assert files.held() == ["sty_1"]
    assert files.held(60) == []


def test_nobody_else_may_read_them(files, folder):
    files.make("sty_1")
    files.put("sty_1", "1/result", b"")
    paths = [folder, *folder.rglob("*")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_dir()} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_file()} == {0o600}


def test_a_name_leads_nowhere_else(files):
    files.make("sty_1")
    for name in ("../sty_2/content", "content/..", "/etc/passwd", "", ".home", "1/2/result", "1/.."):
        with pytest.raises(ValueError, match="name"):
            files.put("sty_1", name, b"")
    with pytest.raises(ValueError, match="id"):
        files.get("../sty_1", "content")


def test_a_file_that_cannot_be_written_is_not_half_there(files, folder, monkeypatch):
    files.make("sty_1")
    files.put("sty_1", "content", b"old")

    def fail(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="space"):
        files.put("sty_1", "content", b"new")
    assert files.get("sty_1", "content") == b"old"
    assert len(list((folder / "sty_1").iterdir())) == 1


def test_whoever_writes_into_a_job_that_was_removed_finds_it_gone(files):
    files.make("sty_1")
    files.put("sty_1", "content", b"a")
    files.put("sty_1", "1/preview-1", b"b")
    assert files.remove("sty_1") == 2
    for name in ("content", "1/preview-2"):
        with pytest.raises(FileNotFoundError):
            files.put("sty_1", name, b"c")
    assert files.held() == []
    assert files.remove("sty_1") == 0


def test_nothing_is_left_where_one_writes_while_another_removes(files, folder):
    files.make("sty_1")
    gone = threading.Event()

    def write():
        number = 0
        while not gone.is_set():
            number += 1
            try:
                files.put("sty_1", f"1/preview-{number}", b"x")
            except FileNotFoundError:
                return

    thread = threading.Thread(target=write)
    thread.start()
    while not files.names("sty_1"):
        pass
    files.remove("sty_1")
    thread.join(10)
    assert not thread.is_alive()
    files.sweep()
    assert list(folder.iterdir()) == []


def test_what_a_removal_left_behind_is_swept(files, folder):
    files.make("sty_1")
    left = folder / ".gone-1"
    (left / "1").mkdir(parents=True)
    (left / "1" / "result").write_bytes(b"x")
    files.sweep()
    assert not left.exists()
    assert files.held() == ["sty_1"]


def test_all_but_what_is_named_can_be_removed(files):
    files.make("sty_1")
    for name in ("content", "1/preview-1", "2/preview-5", "2/result"):
        files.put("sty_1", name, b"x")
    files.keep_only("sty_1", ["content", "2/result"])
    assert files.names("sty_1") == ["2/result", "content"]
    files.drop("sty_1", "2/result")
    files.drop("sty_1", "2/result")
    files.drop("sty_2", "content")
    assert files.names("sty_1") == ["content"]
    assert files.names("sty_2") == []


def test_a_copy_outlives_what_it_was_copied_from(files, monkeypatch):
    files.make("sty_1")
    files.make("sty_2")
    files.put("sty_1", "1/checkpoint-3", b"state")
    files.copy("sty_1", "1/checkpoint-3", "sty_2", "0/checkpoint-3")

    def refuse(*paths):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    files.copy("sty_1", "1/checkpoint-3", "sty_2", "0/checkpoint-4")
    files.remove("sty_1")
    assert files.get("sty_2", "0/checkpoint-3") == files.get("sty_2", "0/checkpoint-4") == b"state"
    with pytest.raises(FileNotFoundError):
        files.copy("sty_1", "1/checkpoint-3", "sty_2", "0/checkpoint-5")


def test_a_place_has_one_id_for_every_process(files, folder):
    others = [FileStyleFiles(folder) for _ in range(4)]
    told = []
    threads = [threading.Thread(target=lambda one=one: told.append(one.home)) for one in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {files.home, *told} == {files.home}
    assert FileStyleFiles(folder.parent / "another").home != files.home
    assert files.held() == []
