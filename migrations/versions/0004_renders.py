"""Renders, and what is told of them on the way."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# PostgreSQL: texts are compared by their bytes, and whole numbers have 64 bits, as on SQLite.
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
INTEGER = sa.Integer().with_variant(sa.BigInteger(), "postgresql")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "style_jobs",
        sa.Column("id", TEXT, primary_key=True),
        sa.Column("owner", TEXT, nullable=False, index=True),
        sa.Column("home", TEXT, nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("input", sa.JSON(), nullable=False),
        sa.Column("medium", TEXT, nullable=False),
        sa.Column("media_type", TEXT, nullable=False),
        sa.Column("steps", INTEGER, nullable=False),
        sa.Column("scales", INTEGER, nullable=False),
        sa.Column("memory_bytes", INTEGER, nullable=False),
        sa.Column("engine", sa.JSON(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False, index=True),
        sa.Column("person_id", TEXT, index=True),
        sa.Column("resumed_from", TEXT),
        sa.Column("max_attempts", INTEGER, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("step", INTEGER, nullable=False),
        sa.Column("scale", INTEGER, nullable=False),
        sa.Column("losses", sa.JSON()),
        sa.Column("evaluations", INTEGER, nullable=False),
        sa.Column("steps_per_s", sa.Double()),
        sa.Column("attempt", INTEGER, nullable=False),
        sa.Column("token", INTEGER, nullable=False),
        sa.Column("lease_until", TIME),
        sa.Column("cancel_asked", sa.Boolean(), nullable=False),
        sa.Column("error", sa.JSON()),
        sa.Column("started_at", TIME),
        sa.Column("finished_at", TIME),
        sa.Column("begun_step", INTEGER, nullable=False),
        sa.Column("begun_at", TIME),
        sa.Column("preview", sa.JSON()),
        sa.Column("checkpoint", sa.JSON()),
        sa.Column("output", sa.JSON()),
        sa.Column("metrics", sa.JSON(), nullable=False),
        sa.Column("seq", INTEGER, nullable=False),
        sa.Column("pruned", INTEGER, nullable=False),
    )
    op.create_index("ix_style_jobs_home_status", "style_jobs", ["home", "status", "created_at"])
    op.create_table(
        "style_events",
        sa.Column("job_id", TEXT, sa.ForeignKey("style_jobs.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("seq", INTEGER, primary_key=True, autoincrement=False),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("at", TIME, nullable=False),
    )


def downgrade() -> None:
    for table in ("style_events", "style_jobs"):
        op.drop_table(table)
