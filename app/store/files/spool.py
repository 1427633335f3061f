"""The files of batches, in a folder of the home: one a job that has not ended, readable for their owner alone.

Photos are personal data. A file goes with the end of its job, and the photos of whoever is erased before that are
overwritten where they lie.
"""

import errno
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Literal

from app.domain.batch import BatchItem, Place
from app.domain.particulars import is_id
from app.errors import UnreadableEntry
from app.store.durable import sync_folder
from app.store.files.batch_file import Limits, list_folders, list_lines, unpacked

Form = Literal["zip", "lines"]
_ENDING = ".batch"
_DRAFT = ".part"
ZEROS = bytes(64 * 1024)
# What an upload leaves free on the disk.
RESERVE_BYTES = 256 * 1024 * 1024


class FileSpool:
    """Fits `ports.Spool`. Thread-safe, and for several processes: a job's file is written once and renamed into place.

    The folder is made when it is first needed.
    """

    def __init__(self, folder: Path, limits: Limits) -> None:
        self._folder = folder
        self.limits = limits

    def draft(self, form: Form) -> "Draft":
        """A file for an upload that begins now."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Draft(self, self._folder / f"{secrets.token_hex(16)}{_DRAFT}", form)

    def held(self) -> list[str]:
        """The jobs whose file lies here."""
        return [path.stem for path in self._files(_ENDING)]

    def read(self, job_id: str, place: Place) -> bytes:
        """The photo, or the line, at that place. Raises UnreadableEntry, and FileNotFoundError without a file."""
        with self.path(job_id).open("rb") as file:
            stored = os.pread(file.fileno(), place.end - place.data, place.data)
        if len(stored) != place.end - place.data:
            raise UnreadableEntry
        return unpacked(stored, place)

    def blank(self, job_id: str, places: Iterable[Place]) -> None:
        """Overwrites those places with zeros; they are gone from the disk when this returns."""
        try:
            with self.path(job_id).open("r+b") as file:
                blank(file, places)
        except FileNotFoundError:
            return

    def remove(self, job_id: str) -> bool:
        """Deletes the file; False where there is none."""
        try:
            self.path(job_id).unlink()
        except FileNotFoundError:
            return False
        sync_folder(self._folder)
        return True

    def sweep(self, older_than_s: float) -> list[str]:
        """Deletes uploads that were broken off that long ago; the jobs of which a file of that age lies here."""
        before = time.time() - older_than_s
        for path in self._files(_DRAFT):
            if _changed_at(path) < before:
                path.unlink(missing_ok=True)
        return [path.stem for path in self._files(_ENDING) if _changed_at(path) < before]

    def path(self, job_id: str) -> Path:
        """Where the file of that job lies, if it does. ValueError for what is no id."""
        if not is_id(job_id):
            raise ValueError("no id")
        return self._folder / f"{job_id}{_ENDING}"

    def _files(self, ending: str) -> Iterator[Path]:
        try:
            paths = sorted(self._folder.iterdir())
        except FileNotFoundError:
            return
        yield from (path for path in paths if path.suffix == ending and is_id(path.stem))


class Draft:
    """An upload on its way: written in pieces, digested as it comes. Nothing is begun before it is whole.

    digest, bytes: of what was written so far. Used by one thread at a time; `discard` is harmless after `keep`.
    """

    def __init__(self, spool: FileSpool, path: Path, form: Form) -> None:
        self._spool = spool
        self._path = path
        self._form = form
        self._hash = hashlib.sha256()
        self.bytes = 0
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        self._file: BinaryIO = os.fdopen(descriptor, "w+b", buffering=0)

    @property
    def digest(self) -> str:
        """SHA-256 of the content, hexadecimal."""
        return self._hash.hexdigest()

    def write(self, chunk: bytes) -> None:
        """Appends. Raises OSError, such as for a disk that is full."""
        if shutil.disk_usage(self._path.parent).free < RESERVE_BYTES + len(chunk):
            # Enrolments and decisions need the disk too.
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._hash.update(chunk)
        view = memoryview(chunk)
        while view:
            view = view[self._file.write(view) or 0 :]
        self.bytes += len(chunk)

    def items(self) -> list[BatchItem]:
        """What it holds. Cuts a zip's directory off: from now on only the items know names and places.

        Raises UnreadableBatch, BatchTooLarge.
        """
        with open(self._path, "rb") as file:  # noqa: PTH123 - buffered, beside the raw one
            if self._form == "lines":
                items = list_lines(file, self._spool.limits)
            else:
                items, directory_at = list_folders(file, self._spool.limits)
                self._file.truncate(directory_at)
        # Here it may take a while; `keep` is called while others wait to write.
        os.fsync(self._file.fileno())
        return items

    def keep(self, job_id: str, without: Collection[Place] = ()) -> None:
        """Becomes the file of that job, with those places blank; on the disk when this returns."""
        blank(self._file, without)
        os.fsync(self._file.fileno())
        self._file.close()
        self._path.replace(self._spool.path(job_id))
        sync_folder(self._path.parent)

    def discard(self) -> None:
        """Deletes it."""
        self._file.close()
        self._path.unlink(missing_ok=True)


def blank(file: BinaryIO, places: Iterable[Place]) -> None:
    """Writes zeros over those places, through to the disk."""
    for place in places:
        file.seek(place.begin)
        left = place.end - place.begin
        while left > 0:
            left -= file.write(ZEROS[: min(left, len(ZEROS))])
    file.flush()
    os.fsync(file.fileno())


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return time.time()
