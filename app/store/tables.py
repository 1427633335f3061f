"""The tables. The migrations make them; a test compares both."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
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
    select,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


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


# On PostgreSQL texts are compared by their bytes, as SQLite does it, whatever the language of the database: lists come
# in the same order, and a page ends at the same id. Whole numbers have 64 bits on both.
TEXT = Text().with_variant(Text(collation="C"), "postgresql")
INTEGER = Integer().with_variant(BigInteger(), "postgresql")


class Base(DeclarativeBase):
    """All tables of the service."""

    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it as it stands
        str: TEXT,
        int: INTEGER,
        bytes: LargeBinary,
        datetime: UtcDateTime,
        dict[str, Any]: JSON,
        list[str]: JSON,
        list[str] | None: JSON(none_as_null=True),
        dict[str, Any] | None: JSON(none_as_null=True),
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


class TemplatePartRow(Base):
    """What is kept beside a template, sealed under the same person's key: its `crop`, or an embedding by a model.

    part: `crop`, or the id of a model other than the template's own.
    """

    __tablename__ = "template_parts"

    template_id: Mapped[str] = mapped_column(ForeignKey("templates.id", ondelete="CASCADE"), primary_key=True)
    part: Mapped[str] = mapped_column(primary_key=True)
    key_id: Mapped[str]
    sealed: Mapped[bytes]


class ServedModelRow(Base):
    """The model whose templates are searched, and the one that is prepared. One row, whose place is 1."""

    __tablename__ = "served_model"

    place: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    model_id: Mapped[str]
    next_id: Mapped[str | None]


class ChangeRow(Base):
    """The change feed. AUTOINCREMENT: SQLite would give the seq of a deleted last row to the next one."""

    __tablename__ = "changes"
    __table_args__ = ({"sqlite_autoincrement": True},)

    seq: Mapped[int] = mapped_column(primary_key=True)
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
    galleries: Mapped[list[str] | None]
    rate_per_minute: Mapped[int | None]
    concurrency: Mapped[int | None]


class ErasureRow(Base):
    """The receipt of an erasure: ids and counts, nothing of the person."""

    __tablename__ = "erasures"

    id: Mapped[str] = mapped_column(primary_key=True)
    person_id: Mapped[str] = mapped_column(unique=True)
    erased_at: Mapped[datetime]
    removed: Mapped[dict[str, Any]]
    index_seq: Mapped[int]
    search_missed: Mapped[bool | None]
    audit_seq: Mapped[int | None]


class GalleryRow(Base):
    """A gallery with a name of its own; `all` has no row, since everybody is in it."""

    __tablename__ = "galleries"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    created_at: Mapped[datetime]


class MemberRow(Base):
    """Who belongs to which gallery."""

    __tablename__ = "members"

    gallery_id: Mapped[str] = mapped_column(ForeignKey("galleries.id"), primary_key=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("persons.id"), primary_key=True, index=True)


class IdentityChangeRow(Base):
    """A merge or a split, with what undoing it needs; `sealed` opens with the key `key_id` of `other_id`."""

    __tablename__ = "identity_changes"

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    person_id: Mapped[str] = mapped_column(index=True)
    other_id: Mapped[str] = mapped_column(index=True)
    made_at: Mapped[datetime]
    undone_at: Mapped[datetime | None]
    key_id: Mapped[str]
    sealed: Mapped[bytes]


class SightingRow(Base):
    """When somebody was last recognized: what the retention of persons goes by."""

    __tablename__ = "sightings"

    person_id: Mapped[str] = mapped_column(ForeignKey("persons.id"), primary_key=True)
    seen_at: Mapped[datetime]


# The repositories use these: statements over tables, built once, are faster than mapped objects.
PERSONS = Base.metadata.tables[PersonRow.__tablename__]
ERASED_IDS = Base.metadata.tables[ErasedIdRow.__tablename__]
TEMPLATES = Base.metadata.tables[TemplateRow.__tablename__]
TEMPLATE_PARTS = Base.metadata.tables[TemplatePartRow.__tablename__]
SERVED_MODEL = Base.metadata.tables[ServedModelRow.__tablename__]
CHANGES = Base.metadata.tables[ChangeRow.__tablename__]
KEYS = Base.metadata.tables[KeyRow.__tablename__]
ERASURES = Base.metadata.tables[ErasureRow.__tablename__]
GALLERIES = Base.metadata.tables[GalleryRow.__tablename__]
MEMBERS = Base.metadata.tables[MemberRow.__tablename__]
IDENTITY_CHANGES = Base.metadata.tables[IdentityChangeRow.__tablename__]
SIGHTINGS = Base.metadata.tables[SightingRow.__tablename__]


class _EachOf(FunctionElement[Any]):
    """The elements of a JSON array of texts, one a row, in a column `value`."""

    name = "each_of"
    inherit_cache = True


@compiles(_EachOf, "sqlite")
def _each_on_sqlite(element: _EachOf, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **options)})"


@compiles(_EachOf, "postgresql")
def _each_on_postgresql(element: _EachOf, compiler: SQLCompiler, **options: Any) -> str:
    return f"jsonb_array_elements_text(CAST({compiler.process(element.clauses, **options)} AS JSONB))"


def listed(parameter: str) -> Select[Any]:
    """What a parameter lists, a JSON array of texts, for use in `column.in_(...)`.

    One parameter whatever the length: the statement stays the same and is prepared once. An expanding IN is rendered
    anew at each call, which took longer than the query itself.
    """
    return select(_EachOf(bindparam(parameter)).table_valued("value").c.value)
