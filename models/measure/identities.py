"""An open set out of any folder of identities: half of those who can be enrolled are, by a rule on their names."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from models.measure.lfw import OpenSetPhotos

# Part of the rule: whoever changes it measures other people.
SALT = "onelook open set 1"
PHOTOS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".heic")


def is_enrolled(identity: str) -> bool:
    """Whether somebody with two photos or more is enrolled, else a stranger: even odds, by name alone."""
    return hashlib.sha256(f"{SALT}:{identity}".encode()).digest()[0] < 128


def photos_of(folder: Path, identities: frozenset[str] | None = None) -> dict[str, tuple[str, ...]]:
    """Identity -> paths of its photos relative to the folder, both sorted; a folder in it is an identity.

    identities: those alone, where not None. Hidden files are passed over, and so are people without a photo. Raises
    OSError for no such folder, ValueError when nobody is left.
    """
    people = {}
    for person in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        if identities is None or person.name in identities:
            names = sorted(p.name for p in person.iterdir() if p.suffix.lower() in PHOTOS and p.name[0] != ".")
            if names:
                people[person.name] = tuple(f"{person.name}/{name}" for name in names)
    if not people:
        raise ValueError(f"{folder.name} holds no photos of those identities: each is a folder of its photos")
    return people


def read_identities(file: Path) -> frozenset[str]:
    """One identity a line; empty lines and what follows a # are passed over. Raises OSError, ValueError for none."""
    lines = (line.partition("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
    names = frozenset(line for line in lines if line)
    if not names:
        raise ValueError(f"{file.name} names nobody: one identity a line is expected")
    return names


def open_set_photos(people: Mapping[str, Sequence[str]]) -> OpenSetPhotos:
    """The chosen half of those with two photos or more, enrolled by the first; all photos of everybody else."""
    enrolled = [name for name in people if len(people[name]) > 1 and is_enrolled(name)]
    chosen = frozenset(enrolled)
    return OpenSetPhotos(
        enrolled=tuple(people[name][0] for name in enrolled),
        probes=tuple(path for name in enrolled for path in people[name][1:]),
        strangers=tuple(path for name, paths in people.items() if name not in chosen for path in paths),
    )
