"""The protocols of Labeled Faces in the Wild, from the text files of its own site; no picture is opened here.

Huang et al., "Labeled Faces in the Wild", UMass TR 07-49, 2007. View 1 is for choosing, View 2 for reporting. The open
set on top of it is ours: people with ten photos and more, enrolled by their first, and people with one as strangers.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

PHOTOS_OF_THE_ENROLLED = 10
STRANGERS = 1000


@dataclass(frozen=True, slots=True)
class Pair:
    """Two photos, as paths relative to the data's folder, of one person or of two."""

    left: str
    right: str
    same: bool


@dataclass(frozen=True, slots=True)
class OpenSetPhotos:
    """Photos to enrol, one a person; other photos of those people; photos of strangers, one a person."""

    enrolled: tuple[str, ...]
    probes: tuple[str, ...]
    strangers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Protocol:
    """photos_of: name -> number of photos, all people; view1_test: names of View 1's test part; folds: View 2."""

    photos_of: Mapping[str, int] = field(repr=False)
    view1_test: frozenset[str] = field(repr=False)
    folds: tuple[tuple[Pair, ...], ...] = field(repr=False)

    def photos(self, names: frozenset[str] | None = None) -> tuple[str, ...]:
        """Paths of all photos of those people, of everybody when None, in order of name and number."""
        chosen = sorted(self.photos_of if names is None else names)
        return tuple(photo(name, number + 1) for name in chosen for number in range(self.photos_of[name]))

    def outside(self) -> frozenset[str]:
        """Names of the people who are not in View 1's test part, and so set no threshold."""
        return frozenset(self.photos_of) - self.view1_test

    def open_set(self, names: frozenset[str] | None = None, strangers: int | None = STRANGERS) -> OpenSetPhotos:
        """The open set, among those people only; `strangers`: how many names, sorted, of people with one photo, or all.

        The first so many are taken from everybody before `names` chooses among them.
        """
        many = [n for n in sorted(self.photos_of) if self.photos_of[n] >= PHOTOS_OF_THE_ENROLLED]
        single = [n for n in sorted(self.photos_of) if self.photos_of[n] == 1][:strangers]
        if names is not None:
            many, single = [n for n in many if n in names], [n for n in single if n in names]
        return OpenSetPhotos(
            enrolled=tuple(photo(name, 1) for name in many),
            probes=tuple(photo(name, number) for name in many for number in range(2, self.photos_of[name] + 1)),
            strangers=tuple(photo(name, 1) for name in single),
        )


def read_protocol(folder: Path) -> Protocol:
    """Reads people.txt, peopleDevTest.txt and pairs.txt of the folder.

    Raises FileNotFoundError for a missing file and ValueError, with file and line, for one that is not as published.
    """
    photos_of = dict(_people(folder / "people.txt"))
    view1_test = frozenset(name for name, _ in _people(folder / "peopleDevTest.txt"))
    if strange := sorted(view1_test - photos_of.keys()):
        raise ValueError(f"peopleDevTest.txt names {strange[0]}, whom people.txt does not")
    return Protocol(photos_of, view1_test, _folds(folder / "pairs.txt"))


def photo(name: str, number: int) -> str:
    """The path of a person's photo, numbered from 1, relative to the data's folder."""
    return f"{name}/{name}_{number:04d}.jpg"


def person_of(path: str) -> str:
    """The name that a photo's path carries."""
    return path.partition("/")[0]


def _people(path: Path) -> Iterator[tuple[str, int]]:
    # Lines of one field say how many people, or folds, follow.
    for number, fields in _lines(path):
        if len(fields) == 2 and fields[1].isdecimal():
            yield fields[0], int(fields[1])
        elif len(fields) != 1 or not fields[0].isdecimal():
            raise ValueError(f"{path.name}, line {number}: a name and a number of photos are expected")


def _folds(path: Path) -> tuple[tuple[Pair, ...], ...]:
    lines = list(_lines(path))
    header = lines[0][1] if lines else []
    if len(header) != 2 or not all(f.isdecimal() for f in header):
        raise ValueError(f"{path.name}, line 1: the number of folds and of pairs of each kind are expected")
    folds, each = int(header[0]), 2 * int(header[1])
    pairs = [_pair(path, number, fields) for number, fields in lines[1:]]
    if len(pairs) != folds * each:
        raise ValueError(f"{path.name}: {len(pairs)} pairs where {folds} times {each} are announced")
    return tuple(tuple(pairs[k * each : (k + 1) * each]) for k in range(folds))


def _pair(path: Path, line: int, fields: list[str]) -> Pair:
    match fields:
        case [name, left, right] if left.isdecimal() and right.isdecimal():
            return Pair(photo(name, int(left)), photo(name, int(right)), same=True)
        case [first, left, second, right] if left.isdecimal() and right.isdecimal():
            return Pair(photo(first, int(left)), photo(second, int(right)), same=False)
    raise ValueError(f"{path.name}, line {line}: a pair is three fields, or four for two people")


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip():
            yield number, line.split()
