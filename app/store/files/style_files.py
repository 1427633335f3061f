"""The files of renders: a folder for each job in a folder of the home, readable for their owner alone.

A picture that is rendered may show somebody. A job's folder goes with its row; it leaves by one rename, so that whoever
still writes into it finds it gone.
"""

import contextlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from app.domain.particulars import is_id
from app.store.durable import sync_folder

# Folders, and files, that are on their way out or in: no id and no name looks like that.
_GONE, _PART = ".gone-", ".part-"
_HOME = ".home"
_NAME = re.compile(r"(?:[0-9]{1,18}/)?[a-z]{1,20}(?:-[0-9]{1,18})?")


class FileStyleFiles:
    """Fits `ports.StyleFiles`. Thread-safe, and for several processes: a file is written once and renamed into place.

    The folder is made when it is first needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._home: str | None = None

    @property
    def home(self) -> str:
        """The id of this place, made when it is first asked for."""
        if self._home is None:
            self._home = self._known_home()
        return self._home

    def make(self, job_id: str) -> None:
        """Makes the job's folder."""
        self._made()
        self._of(job_id).mkdir(mode=0o700, exist_ok=True)
        sync_folder(self._folder)

    def put(self, job_id: str, name: str, content: bytes) -> None:
        """Writes a file, whole or not at all; on the disk when this returns. Raises FileNotFoundError, OSError."""
        path = self._for_writing(job_id, name)
        draft = path.parent / f"{_PART}{secrets.token_hex(8)}"
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)

    def copy(self, from_id: str, from_name: str, to_id: str, to_name: str) -> None:
        """Gives another job the same file. Raises FileNotFoundError, OSError."""
        source, target = self._path(from_id, from_name), self._for_writing(to_id, to_name)
        try:
            # A file is never changed: two jobs may have the same one, and each lets go of it for itself.
            os.link(source, target)
        except FileNotFoundError:
            raise
        except OSError:  # a file system without hard links
            self.put(to_id, to_name, source.read_bytes())
        sync_folder(target.parent)

    def get(self, job_id: str, name: str) -> bytes:
        """The file. Raises FileNotFoundError."""
        return self._path(job_id, name).read_bytes()

    def open(self, job_id: str, name: str) -> BinaryIO:
        """The same, to be read piece by piece; it can be read to its end though it be removed."""
        return self._path(job_id, name).open("rb")

    def names(self, job_id: str) -> list[str]:
        """The names of the files that lie here; none where the job has none."""
        folder = self._of(job_id)
        found = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
        return sorted(name for name in found if _NAME.fullmatch(name))

    def drop(self, job_id: str, name: str) -> None:
        """Removes one file, if it is there."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            self._path(job_id, name).unlink()

    def keep_only(self, job_id: str, names: Sequence[str]) -> None:
        """Removes every other file of that job, what was written in part too."""
        folder = self._of(job_id)
        for path in sorted(folder.rglob("*"), reverse=True):
            # A folder goes when it is empty.
            if path.is_dir():
                with contextlib.suppress(OSError):
                    path.rmdir()
            elif path.relative_to(folder).as_posix() not in names:
                path.unlink(missing_ok=True)

    def remove(self, job_id: str) -> int:
        """Removes the folder; how many files there were. Whoever writes into it afterwards gets FileNotFoundError."""
        count = len(self.names(job_id))
        gone = self._folder / f"{_GONE}{secrets.token_hex(8)}"
        try:
            self._of(job_id).rename(gone)
        except FileNotFoundError:
            return 0
        _remove(gone)
        sync_folder(self._folder)
        return count

    def held(self, older_than_s: float = 0.0) -> list[str]:
        """The jobs whose folder lies here and was not touched for that long."""
        before = time.time() - older_than_s
        return [path.name for path in self._entries() if is_id(path.name) and _changed_at(path) <= before]

    def sweep(self) -> None:
        """Removes what a removal that was cut short has left behind."""
        for path in self._entries():
            if path.name.startswith(_GONE):
                _remove(path)

    def _made(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _known_home(self) -> str:
        path = self._folder / _HOME
        try:
            return path.read_text("ascii").strip()
        except FileNotFoundError:
            self._made()
        draft = self._folder / f"{_PART}{secrets.token_hex(8)}"
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_hex(16).encode())
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:  # of several processes that start at once the first one counts
            pass
        except OSError:  # a file system without hard links
            draft.replace(path)
        draft.unlink(missing_ok=True)
        sync_folder(self._folder)
        return path.read_text("ascii").strip()

    def _entries(self) -> Iterator[Path]:
        try:
            yield from sorted(self._folder.iterdir())
        except FileNotFoundError:
            return

    def _of(self, job_id: str) -> Path:
        if not is_id(job_id):
            raise ValueError("no id")
        return self._folder / job_id

    def _path(self, job_id: str, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise ValueError("no name of a file of a render")
        return self._of(job_id) / name

    def _for_writing(self, job_id: str, name: str) -> Path:
        """The path, its folder there. Raises FileNotFoundError where the job's is gone."""
        path = self._path(job_id, name)
        if path.parent != self._of(job_id) and not path.parent.is_dir():
            # Not with its parents: a job that was removed does not come back.
            path.parent.mkdir(mode=0o700, exist_ok=True)
            sync_folder(self._of(job_id))
        return path


def _remove(folder: Path) -> None:
    # Whoever had opened the folder before may still add a file to it; `sweep` comes again.
    shutil.rmtree(folder, ignore_errors=True)


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return time.time()
