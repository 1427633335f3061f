"""A backup -> an empty database. Who was erased since the backup is not in it any more: the person's key is gone."""

import base64
import hashlib
import hmac
import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import numpy as np
from sqlalchemy import DateTime, LargeBinary, Table, func, insert, select, text

from app.domain.face import Quality
from app.domain.model import Served
from app.domain.person import Person, Template
from app.errors import Corrupt, KeyGone, Misconfigured, SealBroken
from app.store.archive.backup import BELONGING, FORMAT, MANIFEST, PERSONS_ENTRY, PIECE, SECRET, TABLES, signature
from app.store.rows.crops import crop_from
from app.store.tables import CHANGES, GALLERIES, IDENTITY_CHANGES, MEMBERS, PERSONS, SIGHTINGS, UtcDateTime
from app.store.unit_of_work import SqlStore, SqlUnitOfWork

NOT_EMPTY = (
    "the database is not empty: restore into a new one (move the old file away, or name another ONELOOK_DATABASE_URL); "
    "the keys stay where they are"
)
# A person with thousands of templates and their crops; the file is ours, or its signature would not be good.
LONGEST_LINE = 512 * 2**20


@dataclass(frozen=True, slots=True)
class RestoredBackup:
    """What was restored. erased: persons in the backup who were erased since, and stay so."""

    persons: int
    templates: int
    erased: int
    made_at: str


def restore(store: SqlStore, path: Path, *, told: Callable[[int], object] = lambda persons: None) -> RestoredBackup:
    """Fills an empty database with a backup, wholly or not at all, and checks it before. told: persons done so far.

    Raises Misconfigured where the database is not empty, Corrupt where the file is no backup of this service, or was
    altered, OSError.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = _checked(archive, store.vault.secret(SECRET))
            with store.write() as uow:
                _refuse_what_is_there(uow)
                persons, templates, erased = _fill(store, uow, archive, manifest, told)
                uow.commit()
    except (zipfile.BadZipFile, KeyError, ValueError) as e:
        raise Corrupt(f"{path} is no backup, or was cut short: take another one.") from e
    return RestoredBackup(persons, templates, erased, str(manifest["made_at"]))


def _checked(archive: zipfile.ZipFile, secret: bytes) -> dict[str, Any]:
    signed = json.loads(archive.read(MANIFEST))
    if not hmac.compare_digest(signature(secret, signed["manifest"]), signed["mac"]):
        raise Corrupt(
            "The backup was not made by this service, or was altered: the vault (keys) at hand must be the one that "
            "belongs to it."
        )
    manifest: dict[str, Any] = json.loads(signed["manifest"])
    if manifest["format"] != FORMAT:
        raise Corrupt(f"The backup has the format {manifest['format']}, which this version does not read.")
    for name, digest in manifest["sha256"].items():
        with archive.open(name) as entry:
            if hashlib.file_digest(entry, "sha256").hexdigest() != digest:  # type: ignore[arg-type]
                raise Corrupt(f"{name} in the backup was altered.")
    return manifest


def _refuse_what_is_there(uow: SqlUnitOfWork) -> None:
    for table in (PERSONS, CHANGES, *TABLES):
        if uow.connection.execute(select(func.count()).select_from(table)).scalar():
            raise Misconfigured(NOT_EMPTY)


def _fill(
    store: SqlStore,
    uow: SqlUnitOfWork,
    archive: zipfile.ZipFile,
    manifest: dict[str, Any],
    told: Callable[[int], object],
) -> tuple[int, int, int]:
    _go_on_counting(uow, int(manifest["seq"]))
    for table in TABLES:
        with archive.open(f"{table.name}.ndjson") as entry:
            for lines in _pieces(entry):
                _insert(uow, table, lines)
    if manifest.get("model_id") is not None:
        uow.models.serve(Served(manifest["model_id"]))
    uow.note("gallery", uow.connection.execute(select(GALLERIES.c.id)).scalars().all(), "add")
    persons = templates = erased = 0
    changes: list[dict[str, Any]] = []
    with archive.open(PERSONS_ENTRY) as entry:
        for lines in _pieces(entry):
            wanted = [(line["key_id"], base64.b64decode(line["sealed"]), BELONGING) for line in lines]
            there = []
            for opened in store.vault.open_many(wanted):
                if isinstance(opened, KeyGone):
                    erased += 1
                elif isinstance(opened, SealBroken):
                    raise Corrupt("A person in the backup cannot be opened: it was altered.") from opened
                else:
                    there.append(json.loads(opened))
            for about in _without_what_was_removed(store, there):
                persons, templates = persons + 1, templates + _put(uow, about)
                changes += about["identity_changes"]
            told(persons)
    # When everybody is there: the id of somebody who was merged and came back counts as taken by the change.
    _put_changes(store, uow, changes)
    return persons, templates, erased


def _without_what_was_removed(store: SqlStore, persons: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The same persons without templates that were removed since, or whose person was erased: another's key opens them.

    That person had them when the backup was made: before a split, or while a merge counted that was undone since.
    """
    removed = store.vault.removed_templates([one["id"] for about in persons for one in about["templates"]])
    for about in persons:
        yield about | {"templates": [one for one in about["templates"] if one["id"] not in removed]}


def _put_changes(store: SqlStore, uow: SqlUnitOfWork, changes: Sequence[dict[str, Any]]) -> None:
    """Writes merges and splits, but none that tells of somebody who was erased since."""
    for first in range(0, len(changes), PIECE):
        piece = changes[first : first + PIECE]
        erased = store.vault.shredded([one[name] for one in piece for name in ("person_id", "other_id")])
        _insert(uow, IDENTITY_CHANGES, [one for one in piece if not erased & {one["person_id"], one["other_id"]}])


def _go_on_counting(uow: SqlUnitOfWork, seq: int) -> None:
    """The seq of the restored database begins behind that of the backup: none is given out twice."""
    uow.connection.execute(insert(CHANGES), {"seq": seq + 1, "kind": "gallery", "subject_id": "all", "op": "update"})
    if uow.connection.dialect.name == "postgresql":
        uow.connection.execute(text("SELECT setval(pg_get_serial_sequence('changes', 'seq'), :seq)"), {"seq": seq + 1})


def _put(uow: SqlUnitOfWork, about: dict[str, Any]) -> int:
    row = _typed(PERSONS, about["person"])
    row["groups"] = tuple(row["groups"])
    person = Person(**{name: row[name] for name in Person.__dataclass_fields__})
    uow.people.add(person)
    # Not by `join`: a gallery that was removed since the rows were read cannot be, here.
    for gallery in about["galleries"]:
        uow.connection.execute(insert(MEMBERS), {"gallery_id": gallery, "person_id": person.id})
    for one in about["templates"]:
        vector = np.frombuffer(base64.b64decode(one["vector"]), "<f4").astype(np.float32)
        quality = Quality(**{**one["quality"], "reasons": tuple(one["quality"]["reasons"])})
        made = datetime.fromisoformat(one["created_at"])
        uow.templates.add(Template(one["id"], person.id, one["model_id"], quality, made, vector))
        # Backups of versions that kept none have no word of it.
        if one.get("crop") is not None:
            uow.crops.keep(one["id"], crop_from(base64.b64decode(one["crop"])))
    if about["seen_at"] is not None:
        _insert(uow, SIGHTINGS, [{"person_id": person.id, "seen_at": about["seen_at"]}])
    if about["galleries"]:
        uow.note("member", [person.id], "update")
    return len(about["templates"])


def _insert(uow: SqlUnitOfWork, table: Table, lines: Sequence[dict[str, Any]]) -> None:
    if lines:
        uow.connection.execute(insert(table), [_typed(table, line) for line in lines])


def _typed(table: Table, line: dict[str, Any]) -> dict[str, Any]:
    """A row as it was written to the file, in the types of its columns. KeyError, ValueError where it does not fit."""
    row = {}
    for name, value in line.items():
        kind = table.columns[name].type
        if value is not None and isinstance(kind, UtcDateTime | DateTime):
            value = datetime.fromisoformat(value)
        elif value is not None and isinstance(kind, LargeBinary):
            value = base64.b64decode(value)
        row[name] = value
    return row


def _pieces(entry: IO[bytes]) -> Iterator[list[dict[str, Any]]]:
    lines: list[dict[str, Any]] = []
    while line := entry.readline(LONGEST_LINE):
        lines.append(json.loads(line))
        if len(lines) == PIECE:
            yield lines
            lines = []
    if lines:
        yield lines
