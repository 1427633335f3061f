"""The tables. The migrations make them; a test compares both."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Select,
    Text,
    TypeDecorator,
    bindparam,
    func,
    select,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time, stored as UTC to the microsecond and read as UTC. A naive time is a ValueError."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC, which SQLite stores without saying so."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """SQLite gives the time naive."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """All tables of the service."""

    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it as it stands
        str: Text,
        bytes: LargeBinary,
        datetime: UtcDateTime,
        dict[str, Any]: JSON,
        list[str]: JSON,
    }


class PersonRow(Base):
    """Somebody enrolled. `name_folded` is what a search for part of a name looks at."""

    __tablename__ = "persons"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    name_folded: Mapped[str]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    revision: Mapped[int]
    external_id: Mapped[str | None] = mapped_column(index=True)
    # `metadata` is SQLAlchemy's own name on a declarative class.
    person_metadata: Mapped[dict[str, Any]] = mapped_column("metadata")
    groups: Mapped[list[str]]
    consent: Mapped[str | None]
    active: Mapped[bool]
    face_opt_out: Mapped[bool]
    valid_from: Mapped[datetime | None]
    valid_until: Mapped[datetime | None]


class ErasedIdRow(Base):
    """The id of a person who was erased, so that nobody else gets it."""

    __tablename__ = "erased_ids"

    person_id: Mapped[str] = mapped_column(primary_key=True)


class TemplateRow(Base):
    """One template; `sealed` is the encrypted vector, `key_id` names the master key that opens it."""

    __tablename__ = "templates"
    __table_args__ = (Index("ix_templates_model_id_id", "model_id", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("persons.id"), index=True)
    model_id: Mapped[str]
    quality: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    key_id: Mapped[str]
    sealed: Mapped[bytes]


class ChangeRow(Base):
    """The change feed. AUTOINCREMENT: SQLite would give the seq of a deleted last row to the next one."""

    __tablename__ = "changes"
    __table_args__ = ({"sqlite_autoincrement": True},)

    seq: Mapped[int] = mapped_column(Integer, primary_key=True)
    kind: Mapped[str]
    subject_id: Mapped[str]
    op: Mapped[str]


class KeyRow(Base):
    """An API key, without its secret."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    scopes: Mapped[list[str]]
    created_at: Mapped[datetime]
    digest: Mapped[bytes]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class ErasureRow(Base):
    """The receipt of an erasure: ids and counts, nothing of the person."""

    __tablename__ = "erasures"

    id: Mapped[str] = mapped_column(primary_key=True)
    person_id: Mapped[str] = mapped_column(unique=True)
    erased_at: Mapped[datetime]
    removed: Mapped[dict[str, Any]]
    index_seq: Mapped[int]
    search_missed: Mapped[bool | None]


# The repositories use these: statements over tables, built once, are faster than mapped objects.
PERSONS = Base.metadata.tables[PersonRow.__tablename__]
ERASED_IDS = Base.metadata.tables[ErasedIdRow.__tablename__]
TEMPLATES = Base.metadata.tables[TemplateRow.__tablename__]
CHANGES = Base.metadata.tables[ChangeRow.__tablename__]
KEYS = Base.metadata.tables[KeyRow.__tablename__]
ERASURES = Base.metadata.tables[ErasureRow.__tablename__]


def listed(parameter: str) -> Select[Any]:
    """What a parameter lists, a JSON array of texts, for use in `column.in_(...)`.

    One parameter whatever the length: the statement stays the same and is prepared once. An expanding IN is rendered
    anew at each call, which took longer than the query itself. PostgreSQL would say `= ANY(...)` here.
    """
    return select(func.json_each(bindparam(parameter)).table_valued("value").c.value)
