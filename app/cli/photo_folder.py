"""A folder a person, its photos in the order of their names; as what a batch is made of."""

import hashlib
import os
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from app.domain.batch import BatchItem, Place, by_numbers
from app.errors import ImageTooLarge, UnreadableEntry

if TYPE_CHECKING:
    from app.actions.batch_item import Photo

MISPLACED = ("misplaced", "Photos lie in a person's folder, one level deep.")
# The same for the same content, whenever it is packed: a batch is known by its digest.
_LONG_AGO = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class PersonFolder:
    """The photos of one person; `name` is the folder's."""

    name: str
    photos: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class PhotoFolder:
    """All of them, and what lies where no photo is looked for. Paths start with the folder that was given."""

    top: Path
    people: tuple[PersonFolder, ...]
    misplaced: tuple[Path, ...]

    @classmethod
    def read(cls, folder: Path) -> "PhotoFolder":
        """Lists the folder; hidden files are passed over. Raises OSError. Read-only."""
        people: list[PersonFolder] = []
        misplaced: list[Path] = []
        for entry in _visible(folder):
            if not entry.is_dir():
                misplaced.append(entry)
                continue
            inner = list(_visible(entry))
            photos = tuple(path for path in inner if path.is_file())
            misplaced += [path for path in inner if not path.is_file()]
            people.append(PersonFolder(entry.name, photos))
        return cls(folder, tuple(people), tuple(misplaced))

    def count(self) -> int:
        """How many photos."""
        return sum(len(person.photos) for person in self.people)

    def source(self, path: Path) -> str:
        """What a file is called in the batch: its path in the folder, as text that every database takes."""
        return path.relative_to(self.top).as_posix().encode("utf-8", "replace").decode()

    def pack(self, file: IO[bytes], advance: Callable[[], object]) -> None:
        """Writes a zip of all photos, byte for byte the same for the same photos. Raises OSError."""
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as zipped:
            for person in self.people:
                for path in person.photos:
                    zipped.writestr(zipfile.ZipInfo(self.source(path), _LONG_AGO), path.read_bytes())
                    advance()


@dataclass(slots=True)
class FolderContent:
    """Fits `actions.batches.Content`: a folder that lies where the command runs, and is read where it lies.

    It is the same content as long as no file is added, taken away, resized or written anew.
    """

    folder: PhotoFolder
    most_bytes: int
    _paths: Sequence[Path] = field(init=False)

    def __post_init__(self) -> None:
        self._paths = [path for person in self.folder.people for path in person.photos]

    @property
    def digest(self) -> str:
        """Of names, sizes and times of change."""
        found = hashlib.sha256(os.fsencode(self.folder.top.resolve()))
        for path in (*self._paths, *self.folder.misplaced):
            facts = path.stat()
            found.update(b"\0" + os.fsencode(path.relative_to(self.folder.top)))
            found.update(b"\0%d\0%d" % (facts.st_size, facts.st_mtime_ns))
        return found.hexdigest()

    def items(self) -> list[BatchItem]:
        """One a photo, person by person; what is misplaced is refused."""
        items: list[BatchItem] = []
        for person in self.folder.people:
            first = len(items)
            for path in person.photos:
                items.append(BatchItem(len(items), first, self.folder.source(path)))
        for path in self.folder.misplaced:
            code, detail = MISPLACED
            number = len(items)
            items.append(BatchItem(number, number, self.folder.source(path), "refused", code=code, detail=detail))
        return items

    def keep(self, job_id: str, without: Collection[Place]) -> None:
        """Nothing is kept: the folder stays where it is."""

    def take(self, item: BatchItem, defaults: Mapping[str, Any]) -> "Photo":
        """The photo of an item. Raises ImageTooLarge before it is read, UnreadableEntry."""
        from app.actions.batch_item import photo_in_folder

        path = self._paths[item.number]
        try:
            if path.stat().st_size > self.most_bytes:
                raise ImageTooLarge
            content = path.read_bytes()
        except OSError as e:
            raise UnreadableEntry(f"The file cannot be read: {e.strerror}.") from e
        return photo_in_folder(path.parent.name, content, defaults)


def _visible(folder: Path) -> Iterator[Path]:
    entries = (path for path in folder.iterdir() if not path.name.startswith("."))
    return iter(sorted(entries, key=lambda path: (by_numbers(path.name), path.name)))
