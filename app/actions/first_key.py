"""The first start makes an admin key: there is no default one."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from app.actions.keys import MakeKey
from app.ports import Store


@dataclass(frozen=True, slots=True)
class FirstKey:
    """Makes a key with the scope `admin` when there is no key at all, and writes it to a file that only we can read."""

    store: Store
    make_key: MakeKey
    announce: Callable[[str], None]

    def __call__(self, path: Path) -> bool:
        """Whether one was made. The file is complete before the row is: a crash between them loses no key."""
        with self.store.read() as uow:
            if uow.keys.count():
                return False
        try:
            _, text = self.make_key("first admin", ["admin"], before_commit=lambda text: self._keep(path, text))
        except _OvertakenError:
            return False
        self.announce(f"The admin key, shown this once, and kept in {path}:\n{text}\n")
        return True

    def _keep(self, path: Path, text: str) -> None:
        # The lock of the writer is held here: whoever had it before has committed, and nobody else can before we do.
        with self.store.read() as uow:
            if uow.keys.count():
                raise _OvertakenError
        _write(path, text)


class _OvertakenError(Exception):
    """Another process made the first key meanwhile."""


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{text}\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
