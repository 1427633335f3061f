"""Galleries, merges and splits, the audit trail, idempotency, jobs, and what limits and binds a key."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# PostgreSQL: texts are compared by their bytes, and whole numbers have 64 bits, as on SQLite.
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
INTEGER = sa.Integer().with_variant(sa.BigInteger(), "postgresql")

# Rows of the audit trail are never changed, and go only behind an anchor.
# `app/store/audit/append_only.py` holds the same.
_APPEND_ONLY_SQLITE = (
    "CREATE TRIGGER audit_unchanged BEFORE UPDATE ON audit "
    "BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END",
    "CREATE TRIGGER audit_kept BEFORE DELETE ON audit "
    "WHEN OLD.seq > coalesce((SELECT max(seq) FROM audit_anchors), 0) "
    "BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END",
    "CREATE TRIGGER audit_anchors_unchanged BEFORE UPDATE ON audit_anchors "
    "BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END",
    "CREATE TRIGGER audit_anchors_kept BEFORE DELETE ON audit_anchors "
    "WHEN OLD.seq >= (SELECT max(seq) FROM audit_anchors) "
    "BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END",
)
_APPEND_ONLY_POSTGRESQL = (
    "CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'the audit trail is append-only'; END $$",
    "CREATE FUNCTION audit_is_let_go() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN IF OLD.seq > coalesce((SELECT max(seq) FROM audit_anchors), 0) THEN "
    "RAISE EXCEPTION 'the audit trail is append-only'; END IF; RETURN OLD; END $$",
    "CREATE TRIGGER audit_unchanged BEFORE UPDATE OR TRUNCATE ON audit "
    "FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()",
    "CREATE TRIGGER audit_kept BEFORE DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_is_let_go()",
    "CREATE FUNCTION audit_anchor_is_older() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN IF OLD.seq >= (SELECT max(seq) FROM audit_anchors) THEN "
    "RAISE EXCEPTION 'the audit trail is append-only'; END IF; RETURN OLD; END $$",
    "CREATE TRIGGER audit_anchors_unchanged BEFORE UPDATE OR TRUNCATE ON audit_anchors "
    "FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()",
    "CREATE TRIGGER audit_anchors_kept BEFORE DELETE ON audit_anchors "
    "FOR EACH ROW EXECUTE FUNCTION audit_anchor_is_older()",
)
_SEEN_AT = sa.column("seen_at", sa.DateTime(timezone=True))
_TRIGGER_FUNCTIONS = ("audit_is_append_only", "audit_is_let_go", "audit_anchor_is_older")


def upgrade() -> None:
    _galleries()
    _see_everybody()
    _audit()
    _idempotency()
    _jobs()
    with op.batch_alter_table("api_keys") as keys:
        keys.add_column(sa.Column("galleries", sa.JSON()))
        keys.add_column(sa.Column("rate_per_minute", INTEGER))
        keys.add_column(sa.Column("concurrency", INTEGER))
    with op.batch_alter_table("erasures") as erasures:
        erasures.add_column(sa.Column("audit_seq", INTEGER))


def _galleries() -> None:
    op.create_table(
        "galleries",
        sa.Column("id", TEXT, primary_key=True),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "members",
        sa.Column("gallery_id", TEXT, sa.ForeignKey("galleries.id"), primary_key=True),
        sa.Column("person_id", TEXT, sa.ForeignKey("persons.id"), primary_key=True),
    )
    op.create_index("ix_members_person_id", "members", ["person_id"])
    op.create_table(
        "identity_changes",
        sa.Column("id", TEXT, primary_key=True),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("person_id", TEXT, nullable=False),
        sa.Column("other_id", TEXT, nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("undone_at", sa.DateTime(timezone=True)),
        sa.Column("key_id", TEXT, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
    )
    op.create_index("ix_identity_changes_person_id", "identity_changes", ["person_id"])
    op.create_index("ix_identity_changes_other_id", "identity_changes", ["other_id"])
    op.create_table(
        "sightings",
        sa.Column("person_id", TEXT, sa.ForeignKey("persons.id"), primary_key=True),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
    )


def _see_everybody() -> None:
    """Who was enrolled before it was written down who is seen counts as seen now: retention must not take them."""
    persons, sightings = sa.table("persons", sa.column("id")), sa.table("sightings", sa.column("person_id"), _SEEN_AT)
    now = sa.literal(datetime.now(UTC), _SEEN_AT.type)
    op.execute(sightings.insert().from_select(["person_id", "seen_at"], sa.select(persons.c.id, now)))


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("seq", INTEGER, primary_key=True, autoincrement=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", TEXT, nullable=False),
        sa.Column("action", TEXT, nullable=False),
        sa.Column("outcome", TEXT, nullable=False),
        sa.Column("gallery", TEXT),
        sa.Column("door", TEXT),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("subject", TEXT),
        sa.Column("key_id", TEXT),
        sa.Column("sealed", sa.LargeBinary()),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
    )
    op.create_index("ix_audit_at", "audit", ["at"])
    op.create_index("ix_audit_subject", "audit", ["subject"])
    op.create_table(
        "audit_anchors",
        sa.Column("seq", INTEGER, primary_key=True, autoincrement=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
    )
    for statement in _APPEND_ONLY_POSTGRESQL if _on_postgresql() else _APPEND_ONLY_SQLITE:
        op.execute(statement)


def _idempotency() -> None:
    op.create_table(
        "idempotency",
        sa.Column("id", TEXT, primary_key=True),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("token", TEXT, nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", INTEGER),
        sa.Column("headers", sa.JSON(), nullable=False),
        sa.Column("body", sa.LargeBinary()),
    )
    op.create_index("ix_idempotency_expires_at", "idempotency", ["expires_at"])
    op.create_table(
        "idempotency_persons",
        sa.Column("record_id", TEXT, sa.ForeignKey("idempotency.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("person_id", TEXT, primary_key=True),
    )
    op.create_index("ix_idempotency_persons_person_id", "idempotency_persons", ["person_id"])


def _jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", TEXT, primary_key=True),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("owner", TEXT, nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("step", INTEGER, nullable=False),
        sa.Column("steps", INTEGER, nullable=False),
        sa.Column("attempt", INTEGER, nullable=False),
        sa.Column("max_attempts", INTEGER, nullable=False),
        sa.Column("token", TEXT),
        sa.Column("lease_until", sa.DateTime(timezone=True)),
        sa.Column("cancel_asked", sa.Boolean(), nullable=False),
        sa.Column("error", sa.JSON()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True)),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.Column("begun_step", INTEGER, nullable=False),
        sa.Column("begun_at", sa.DateTime(timezone=True)),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_jobs_kind_status", "jobs", ["kind", "status", "created_at"])
    op.create_index("ix_jobs_owner_digest", "jobs", ["owner", "kind", "digest"], unique=True)
    op.create_table(
        "batch_items",
        sa.Column("job_id", TEXT, sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("number", INTEGER, primary_key=True, autoincrement=False),
        sa.Column("person", INTEGER, nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("person_id", TEXT),
        sa.Column("template_id", TEXT),
        sa.Column("code", TEXT),
        sa.Column("detail", TEXT),
        sa.Column("members", sa.JSON()),
        sa.Column("place", sa.JSON()),
    )
    op.create_index("ix_batch_items_job_id_person", "batch_items", ["job_id", "person"])
    for column in ("person_id", "source", "template_id"):
        op.create_index(f"ix_batch_items_{column}", "batch_items", [column])
    op.create_table(
        "enrolled_photos",
        sa.Column("template_id", TEXT, sa.ForeignKey("templates.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("digest", TEXT, nullable=False),
    )
    op.create_index("ix_enrolled_photos_digest", "enrolled_photos", ["digest"])


def downgrade() -> None:
    with op.batch_alter_table("erasures") as erasures:
        erasures.drop_column("audit_seq")
    with op.batch_alter_table("api_keys") as keys:
        for column in ("concurrency", "rate_per_minute", "galleries"):
            keys.drop_column(column)
    for table in (
        *("enrolled_photos", "batch_items", "jobs", "idempotency_persons", "idempotency"),
        *("audit_anchors", "audit", "sightings", "identity_changes", "members", "galleries"),
    ):
        op.drop_table(table)
    if _on_postgresql():
        for function in _TRIGGER_FUNCTIONS:
            op.execute(f"DROP FUNCTION {function}()")


def _on_postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"
