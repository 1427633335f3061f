"""The tables of what was done and is to be done: trail, idempotency, jobs, renders. The migrations make them."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.store.audit.append_only import keep_append_only
from app.store.tables import Base


class AuditRow(Base):
    """One row of the trail. `mac` chains it to the row before; `sealed` tells of a person, under that person's key."""

    __tablename__ = "audit"

    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(index=True)
    actor: Mapped[str]
    action: Mapped[str]
    outcome: Mapped[str]
    gallery: Mapped[str | None]
    door: Mapped[str | None]
    facts: Mapped[dict[str, Any]]
    subject: Mapped[str | None] = mapped_column(index=True)
    key_id: Mapped[str | None]
    sealed: Mapped[bytes | None]
    mac: Mapped[bytes]


class AuditAnchorRow(Base):
    """Where the trail begins after its oldest rows were let go: the last of those, signed."""

    __tablename__ = "audit_anchors"

    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    mac: Mapped[bytes]
    signature: Mapped[bytes]


class IdempotencyRow(Base):
    """A request that may be sent again. `id` is a digest of key, route and header; status None: still running."""

    __tablename__ = "idempotency"

    id: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[bytes]
    token: Mapped[str]
    started_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    status: Mapped[int | None]
    headers: Mapped[dict[str, Any]]
    body: Mapped[bytes | None]


class IdempotencyPersonRow(Base):
    """Whom a remembered answer tells of, so that it goes when they are erased."""

    __tablename__ = "idempotency_persons"

    record_id: Mapped[str] = mapped_column(ForeignKey("idempotency.id", ondelete="CASCADE"), primary_key=True)
    person_id: Mapped[str] = mapped_column(primary_key=True, index=True)


class JobRow(Base):
    """Work that goes on after the answer. `token` fences the attempt that holds the lease."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_kind_status", "kind", "status", "created_at"),
        Index("ix_jobs_owner_digest", "owner", "kind", "digest", unique=True),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    status: Mapped[str]
    owner: Mapped[str]
    digest: Mapped[str]
    parameters: Mapped[dict[str, Any]]
    step: Mapped[int]
    steps: Mapped[int]
    attempt: Mapped[int]
    max_attempts: Mapped[int]
    token: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    cancel_asked: Mapped[bool]
    error: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    begun_step: Mapped[int]
    begun_at: Mapped[datetime | None]
    expires_at: Mapped[datetime]
    result: Mapped[dict[str, Any] | None]


class BatchItemRow(Base):
    """One photo of a batch and what became of it.

    `source` is where it stood: a path in the zip, or a line; `person` the number of its person in the batch; `place`
    where its bytes lie in the file that was sent.
    """

    __tablename__ = "batch_items"
    __table_args__ = (Index("ix_batch_items_job_id_person", "job_id", "person"),)

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    person: Mapped[int]
    source: Mapped[str] = mapped_column(index=True)
    status: Mapped[str]
    person_id: Mapped[str | None] = mapped_column(index=True)
    template_id: Mapped[str | None] = mapped_column(index=True)
    code: Mapped[str | None]
    detail: Mapped[str | None]
    members: Mapped[dict[str, Any] | None]
    place: Mapped[list[Any] | None] = mapped_column(JSON(none_as_null=True))


class EnrolledPhotoRow(Base):
    """Which photo of a folder a template was made from, so that the same one is not taken twice; it goes with it."""

    __tablename__ = "enrolled_photos"

    template_id: Mapped[str] = mapped_column(ForeignKey("templates.id", ondelete="CASCADE"), primary_key=True)
    digest: Mapped[str] = mapped_column(index=True)


class StyleJobRow(Base):
    """A render. `token` counts claims, and fences the attempt that holds the lease; `seq` is that of its last event.

    `preview`, `checkpoint` and `output` name its files, which lie at `home`.
    """

    __tablename__ = "style_jobs"
    __table_args__ = (Index("ix_style_jobs_home_status", "home", "status", "created_at"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(index=True)
    home: Mapped[str]
    digest: Mapped[str]
    options: Mapped[dict[str, Any]]
    input: Mapped[dict[str, Any]]
    medium: Mapped[str]
    media_type: Mapped[str]
    steps: Mapped[int]
    scales: Mapped[int]
    memory_bytes: Mapped[int]
    engine: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    person_id: Mapped[str | None] = mapped_column(index=True)
    resumed_from: Mapped[str | None]
    max_attempts: Mapped[int]
    status: Mapped[str]
    step: Mapped[int]
    scale: Mapped[int]
    losses: Mapped[dict[str, Any] | None]
    evaluations: Mapped[int]
    steps_per_s: Mapped[float | None]
    attempt: Mapped[int]
    token: Mapped[int]
    lease_until: Mapped[datetime | None]
    cancel_asked: Mapped[bool]
    error: Mapped[dict[str, Any] | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    begun_step: Mapped[int]
    begun_at: Mapped[datetime | None]
    preview: Mapped[dict[str, Any] | None]
    checkpoint: Mapped[dict[str, Any] | None]
    output: Mapped[dict[str, Any] | None]
    metrics: Mapped[dict[str, Any]]
    seq: Mapped[int]
    pruned: Mapped[int]


class StyleEventRow(Base):
    """Something that was told of a render; `seq` counts from 1 for each."""

    __tablename__ = "style_events"

    job_id: Mapped[str] = mapped_column(ForeignKey("style_jobs.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    type: Mapped[str]
    data: Mapped[dict[str, Any]]
    at: Mapped[datetime]


AUDIT = Base.metadata.tables[AuditRow.__tablename__]
AUDIT_ANCHORS = Base.metadata.tables[AuditAnchorRow.__tablename__]
keep_append_only(AUDIT, AUDIT_ANCHORS)
IDEMPOTENCY = Base.metadata.tables[IdempotencyRow.__tablename__]
IDEMPOTENCY_PERSONS = Base.metadata.tables[IdempotencyPersonRow.__tablename__]
JOBS = Base.metadata.tables[JobRow.__tablename__]
BATCH_ITEMS = Base.metadata.tables[BatchItemRow.__tablename__]
ENROLLED_PHOTOS = Base.metadata.tables[EnrolledPhotoRow.__tablename__]
STYLE_JOBS = Base.metadata.tables[StyleJobRow.__tablename__]
STYLE_EVENTS = Base.metadata.tables[StyleEventRow.__tablename__]
# Every table, of both files.
METADATA = Base.metadata
