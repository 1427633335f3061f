"""Which photo became which template, kept so that an interrupted enrolment goes on where it stopped."""

import hashlib
import json
import os
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from app.errors import Busy
from app.ports import Identifiers, Store

CHUNK = 500


class Journal:
    """A file of lines `{"photo": digest, "template": id}`, mode 0600. Thread-safe; a context manager.

    A line is on the disk before the template is committed, so that whether the work was done can always be told: the
    template has a row, or it has not. It holds no vector, no picture and no name; the digest is over the name of the
    person's folder and the content of the file, so that a photo renamed is known, and one given to two people is two.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        """Opens it for this process alone. Raises Busy when another process enrols."""
        while True:
            self._file = _opened(self._path)
            try:
                _lock(self._file.fileno())
            except OSError as e:
                self._file.close()
                raise Busy("Another `onelook enroll` works on this home: wait for its end.") from e
            if _is_named(self._file, self._path):
                return self
            # Swept by another process between our opening and our locking: that file is nobody's any more.
            self._file.close()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Closes it."""
        if self._file is not None:
            self._file.close()

    def read(self) -> dict[str, list[str]]:
        """Digest of a photo -> the templates that it became, or was about to; a damaged line is passed over."""
        assert self._file is not None
        self._file.seek(0)
        content = self._file.read()
        if content and not content.endswith(b"\n"):
            self._write(b"\n")  # a kill cut the last line short: the next one must not continue it
        noted: dict[str, list[str]] = {}
        for line in content.splitlines():
            entry = _parsed(line)
            if entry is not None:
                noted.setdefault(entry[0], []).append(entry[1])
        return noted

    def finished(self, store: Store) -> set[str]:
        """The photos of which a template is stored: the rows are the truth, not the journal.

        Lines of templates without a row are taken out of the file, so that nothing of an erased person stays in it.
        Call it before the first `note`: a line that was just written has no row yet.
        """
        noted = self.read()
        stored = _stored([template for templates in noted.values() for template in templates], store)
        if any(template not in stored for templates in noted.values() for template in templates):
            self._keep(noted, stored)
        return {photo for photo, templates in noted.items() if stored.intersection(templates)}

    def note(self, photo: str, template_id: str) -> None:
        """Writes a line; it survives power loss when this returns."""
        with self._lock:
            self._write(_line(photo, template_id))

    def _keep(self, noted: dict[str, list[str]], stored: Collection[str]) -> None:
        if os.name != "posix":
            return  # an open file cannot be replaced there
        assert self._file is not None
        draft = self._path.with_name(self._path.name + ".new")
        draft.unlink(missing_ok=True)  # of a sweep that was killed; whoever holds the lock is alone here
        swept = _opened(draft)
        try:
            # Locked before it has the name: nobody can find it free.
            _lock(swept.fileno())
            swept.writelines(_line(photo, t) for photo, templates in noted.items() for t in templates if t in stored)
            swept.flush()
            os.fsync(swept.fileno())
            draft.replace(self._path)
        except BaseException:
            swept.close()
            draft.unlink(missing_ok=True)
            raise
        self._file.close()
        self._file = swept
        _sync_folder(self._path.parent)

    def _write(self, line: bytes) -> None:
        assert self._file is not None
        self._file.write(line)
        self._file.flush()
        os.fsync(self._file.fileno())


class NotingIdentifiers:
    """Fits ports.Identifiers: ids as they were, each template's noted for the photo that this thread works on."""

    def __init__(self, inner: Identifiers, journal: Journal) -> None:
        self._inner = inner
        self._journal = journal
        self._now = threading.local()

    def new(self, prefix: str) -> str:
        """A fresh id; the actions ask for a template's just before they commit it."""
        made = self._inner.new(prefix)
        photo = getattr(self._now, "photo", None)
        if prefix == "tpl" and photo is not None:
            self._journal.note(photo, made)
        return made

    def secret(self) -> str:
        """A fresh secret."""
        return self._inner.secret()

    @contextmanager
    def working_on(self, photo: str) -> Iterator[None]:
        """Inside, templates are made from that photo, by this thread."""
        self._now.photo = photo
        try:
            yield
        finally:
            self._now.photo = None


def photo_digest(person: str, content: bytes) -> str:
    """64 hex digits that stand for that content in that person's folder."""
    whose = person.encode("utf-8", "surrogateescape")
    return hashlib.sha256(len(whose).to_bytes(4, "big") + whose + content).hexdigest()


def _stored(ids: list[str], store: Store) -> set[str]:
    stored: set[str] = set()
    with store.read() as uow:
        for begin in range(0, len(ids), CHUNK):
            # A row that cannot be opened is a row all the same.
            found = uow.templates.with_ids(ids[begin : begin + CHUNK], unreadable=stored.add)
            stored |= {template.id for template in found}
    return stored


def _line(photo: str, template_id: str) -> bytes:
    return json.dumps({"photo": photo, "template": template_id}).encode() + b"\n"


def _parsed(line: bytes) -> tuple[str, str] | None:
    try:
        entry: Any = json.loads(line)
        photo, template = entry["photo"], entry["template"]
    except (ValueError, KeyError, TypeError):
        return None
    return (photo, template) if isinstance(photo, str) and isinstance(template, str) else None


def _opened(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600), "r+b")


def _is_named(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _sync_folder(folder: Path) -> None:
    # Or power loss could bring back the lines of the erased.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    if os.name != "posix":
        return
    import fcntl

    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
