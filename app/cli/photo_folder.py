"""A folder a person, its photos in the order of their names."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class PersonFolder:
    """The photos of one person; `name` is the folder's."""

    name: str
    photos: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class PhotoFolder:
    """All of them, and what lies where no photo is looked for. Paths start with the folder that was given."""

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
        return cls(tuple(people), tuple(misplaced))

    def count(self) -> int:
        """How many photos."""
        return sum(len(person.photos) for person in self.people)


def _visible(folder: Path) -> Iterator[Path]:
    entries = (path for path in folder.iterdir() if not path.name.startswith("."))
    return iter(sorted(entries, key=lambda path: (_by_numbers(path.name), path.name)))


def _by_numbers(name: str) -> list[tuple[int, str]]:
    # 2.jpg before 10.jpg.
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]
