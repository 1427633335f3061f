"""Which photo became which template, kept so that an interrupted enrolment goes on where it stopped."""

import hashlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
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
        descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        self._file = os.fdopen(descriptor, "r+b")
        try:
            _lock(descriptor)
        except OSError as e:
            self._file.close()
            raise Busy("Another `onelook enroll` works on this home: wait for its end.") from e
        return self

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

    def note(self, photo: str, template_id: str) -> None:
        """Writes a line; it survives power loss when this returns."""
        with self._lock:
            self._write(json.dumps({"photo": photo, "template": template_id}).encode() + b"\n")

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


def finished(noted: Mapping[str, list[str]], store: Store) -> set[str]:
    """The photos of which a template is stored: the rows are the truth, not the journal. Read-only."""
    ids = [template for templates in noted.values() for template in templates]
    stored: set[str] = set()
    with store.read() as uow:
        for begin in range(0, len(ids), CHUNK):
            stored |= {template.id for template in uow.templates.with_ids(ids[begin : begin + CHUNK])}
    return {photo for photo, templates in noted.items() if stored.intersection(templates)}


def _parsed(line: bytes) -> tuple[str, str] | None:
    try:
        entry: Any = json.loads(line)
        photo, template = entry["photo"], entry["template"]
    except (ValueError, KeyError, TypeError):
        return None
    return (photo, template) if isinstance(photo, str) and isinstance(template, str) else None


def _lock(descriptor: int) -> None:
    if os.name != "posix":
        return
    import fcntl

    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
