"""A backup while the service serves: one file, of one moment, in which everybody is sealed with a key of their own.

The file is a zip. `persons.ndjson` has a line for each person, sealed under the person's trail key; the other entries
are tables that tell of nobody, or whose rows are sealed already (audit). The keys lie in the vault, which is not in it:
who is erased after the backup is erased in it too. `manifest.json` names every entry's SHA-256 under an HMAC of the
service, since whoever could add a row to `api_keys.ndjson` would be let in after a restore.
"""

import base64
import hashlib
import hmac
import json
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Table, select

from app.domain.face import Crop
from app.domain.person import Template
from app.errors import KeyGone, Misconfigured, SealBroken
from app.store.durable import sync_folder
from app.store.rows.crops import crop_bytes
from app.store.rows.people import personal_columns
from app.store.tables import ERASED_IDS, ERASURES, GALLERIES, IDENTITY_CHANGES, KEYS, PERSONS, SIGHTINGS, TEMPLATES
from app.store.tables_of_work import AUDIT, AUDIT_ANCHORS
from app.store.unit_of_work import SqlStore, SqlUnitOfWork
from app.store.vault.vault import TRAIL

FORMAT: Final = 1
SECRET: Final = "backup"  # noqa: S105 - the name of a secret
BELONGING: Final = b"onelook backup v1"
PERSONS_ENTRY: Final = "persons.ndjson"
MANIFEST: Final = "manifest.json"
# Whole tables: none of them tells of a person but by ids that mean nothing once the person is erased.
TABLES: Final = (GALLERIES, KEYS, ERASED_IDS, ERASURES, AUDIT, AUDIT_ANCHORS)
PIECE = 500


@dataclass(frozen=True, slots=True)
class BackedUp:
    """What a backup holds; seq: the last change that is in it.

    unreadable: persons whose key, and templates of the others, that could not be opened and so are not in it.
    """

    persons: int
    templates: int
    seq: int
    unreadable: int = 0


def back_up(store: SqlStore, path: Path, *, told: Callable[[int], object] = lambda persons: None) -> BackedUp:
    """Writes everything that is stored at one moment to `path`, whole or not at all, readable for its owner alone.

    Not in it: the keys of people, requests that may be repeated, jobs under way, what a re-embedding has prepared, and
    what cannot be opened, which is counted. told: the persons written so far.
    Raises Misconfigured where the file is there already, OSError.
    """
    if path.exists():
        raise Misconfigured(f"{path} is there already: name another file")
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file, store.frozen() as uow:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                counted = _Archive(archive)
                done = _write(store, uow, counted, told)
                served = uow.models.served()
                facts = {"seq": done.seq, "persons": done.persons, "model_id": served and served.model_id}
                counted.sign(store.vault.secret(SECRET), facts)
            file.flush()
            os.fsync(file.fileno())
        _publish(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return done


def _publish(draft: Path, path: Path) -> None:
    """Gives the draft that name, durably. Raises Misconfigured where the name was taken meanwhile."""
    try:
        try:
            os.link(draft, path)
        except FileExistsError:
            raise
        except OSError:
            # A file system without hard links: an empty file takes the name, and only our own is replaced.
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            draft.replace(path)
    except FileExistsError as e:
        raise Misconfigured(f"{path} is there by now: name another file") from e
    sync_folder(path.parent)


class _Archive:
    """A zip that remembers the digest of each entry."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._digests: dict[str, str] = {}

    def write(self, name: str, lines: Iterator[dict[str, Any]]) -> None:
        digest = hashlib.sha256()
        with self._archive.open(name, "w", force_zip64=True) as entry:
            for line in lines:
                text = json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
                digest.update(text)
                entry.write(text)
        self._digests[name] = digest.hexdigest()

    def sign(self, secret: bytes, facts: dict[str, Any]) -> None:
        manifest = {"format": FORMAT, "made_at": datetime.now(UTC).isoformat(), **facts, "sha256": self._digests}
        text = json.dumps(manifest, sort_keys=True)
        self._archive.writestr(MANIFEST, json.dumps({"manifest": text, "mac": signature(secret, text)}))


def signature(secret: bytes, text: str) -> str:
    """HMAC-SHA256 of the manifest, in hexadecimal."""
    return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()


def as_json(row: Any, table: Table) -> dict[str, Any]:
    """A row by column, times as text and bytes in base64."""
    return {column.name: _plain(value) for column, value in zip(table.columns, row, strict=True)}


def _write(store: SqlStore, uow: SqlUnitOfWork, archive: _Archive, told: Callable[[int], object]) -> BackedUp:
    seq = uow.changes.head()
    for table in TABLES:
        archive.write(f"{table.name}.ndjson", _rows(uow.connection, table))
    persons = _Persons(store, uow, told)
    archive.write(PERSONS_ENTRY, persons.lines())
    return BackedUp(persons.written, persons.templates, seq, persons.unreadable)


class _Persons:
    """The line of each person, and how many there were."""

    def __init__(self, store: SqlStore, frozen: SqlUnitOfWork, told: Callable[[int], object]) -> None:
        self._store = store
        self._frozen = frozen
        self._told = told
        self.written = self.templates = self.unreadable = 0

    def lines(self) -> Iterator[dict[str, Any]]:
        """In order of id, without those who were erased since the moment of the backup."""
        after = ""
        query = select(PERSONS.c.id).order_by(PERSONS.c.id).limit(PIECE)
        while ids := self._frozen.connection.execute(query.where(PERSONS.c.id > after)).scalars().all():
            for person_id in ids:
                line = self._line(person_id)
                if line is not None:
                    yield line
            self._told(self.written)
            after = ids[-1]

    def _line(self, person_id: str) -> dict[str, Any] | None:
        templates, unreadable = self._templates(person_id)
        crops = self._crops(person_id)
        plain = json.dumps(_about(self._frozen, person_id, templates, crops), ensure_ascii=False).encode()
        try:
            key_id, sealed = self._store.vault.seal(person_id, plain, BELONGING, TRAIL)
        except KeyGone:  # erased since
            return None
        except SealBroken:  # one damaged key must not keep the others from being backed up
            self.unreadable += 1
            return None
        self.written += 1
        self.templates += len(templates)
        self.unreadable += unreadable
        return {"key_id": key_id, "sealed": base64.b64encode(sealed).decode()}

    def _templates(self, person_id: str) -> tuple[list[Template], int]:
        """The person's templates, and how many more there are that cannot be opened."""
        query = select(TEMPLATES.c.id).where(TEMPLATES.c.person_id == person_id)
        theirs = self._frozen.connection.execute(query).scalars().all()
        closed: list[str] = []
        templates = self._frozen.templates.with_ids(theirs, unreadable=closed.append)
        unreadable: list[str] = []
        if closed:
            # A rotation since sealed the rows anew and dropped the keys of those that the frozen view shows. Whoever
            # has such a template by now, its vector is the same; one without a row was removed since.
            with self._store.read() as live:
                templates += live.templates.with_ids(closed, unreadable=unreadable.append)
        return templates, len(unreadable)

    def _crops(self, person_id: str) -> Mapping[str, Crop]:
        """Of the person's templates; one that cannot be opened is left out, for it can be missed."""
        try:
            return self._frozen.crops.of(person_id)
        except SealBroken:
            # As above: a rotation has sealed them anew. Else one of them is damaged.
            with self._store.read() as live:
                return _readable_crops(live, person_id)


def _readable_crops(uow: SqlUnitOfWork, person_id: str) -> Mapping[str, Crop]:
    try:
        return uow.crops.of(person_id)
    except SealBroken:
        return {}


def _about(
    uow: SqlUnitOfWork, person_id: str, templates: Sequence[Template], crops: Mapping[str, Crop]
) -> dict[str, Any]:
    person = uow.people.get(person_id)
    assert person is not None, "a frozen read sees one moment"
    # Who was merged into this person has no line, and may have absorbed others before.
    merged = (person_id, *uow.identities.absorbed(person_id))
    changes = select(IDENTITY_CHANGES).where(IDENTITY_CHANGES.c.other_id.in_(merged))
    seen = uow.connection.execute(select(SIGHTINGS.c.seen_at).where(SIGHTINGS.c.person_id == person_id)).scalar()
    return {
        "person": {name: _plain(value) for name, value in personal_columns(person).items()},
        "galleries": list(uow.galleries.of(person_id)),
        "templates": [_template(template, crops.get(template.id)) for template in templates],
        "identity_changes": [as_json(row, IDENTITY_CHANGES) for row in uow.connection.execute(changes)],
        "seen_at": _plain(seen),
    }


def _template(template: Template, crop: Crop | None) -> dict[str, Any]:
    return {
        "id": template.id,
        "model_id": template.model_id,
        "quality": asdict(template.quality),
        "created_at": _plain(template.created_at),
        "vector": _plain(template.vector.astype("<f4").tobytes()),
        "crop": None if crop is None else _plain(crop_bytes(crop)),
    }


def _rows(connection: Connection, table: Table) -> Iterator[dict[str, Any]]:
    (key,) = table.primary_key.columns
    after: Any = None
    while True:
        query = select(table).order_by(key).limit(PIECE)
        rows = connection.execute(query if after is None else query.where(key > after)).all()
        if not rows:
            return
        yield from (as_json(row, table) for row in rows)
        after = getattr(rows[-1], key.name)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
