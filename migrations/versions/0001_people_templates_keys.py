"""Persons, their templates, the change feed, API keys and receipts of erasures."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# PostgreSQL: texts are compared by their bytes, and whole numbers have 64 bits, as on SQLite.
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
INTEGER = sa.Integer().with_variant(sa.BigInteger(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "persons",
        sa.Column("id", TEXT, primary_key=True),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("name_folded", TEXT, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revision", INTEGER, nullable=False),
        sa.Column("external_id", TEXT),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("groups", sa.JSON(), nullable=False),
        sa.Column("consent", TEXT),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("face_opt_out", sa.Boolean(), nullable=False),
        sa.Column("valid_from", sa.DateTime(timezone=True)),
        sa.Column("valid_until", sa.DateTime(timezone=True)),
    )
    op.create_index("ix_persons_external_id", "persons", ["external_id"])
    op.create_table("erased_ids", sa.Column("person_id", TEXT, primary_key=True))
    op.create_table(
        "templates",
        sa.Column("id", TEXT, primary_key=True),
        sa.Column("person_id", TEXT, sa.ForeignKey("persons.id"), nullable=False),
        sa.Column("model_id", TEXT, nullable=False),
        sa.Column("quality", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("key_id", TEXT, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
    )
    op.create_index("ix_templates_person_id", "templates", ["person_id"])
    op.create_index("ix_templates_model_id_id", "templates", ["model_id", "id"])
    op.create_table(
        "changes",
        sa.Column("seq", INTEGER, primary_key=True),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("subject_id", TEXT, nullable=False),
        sa.Column("op", TEXT, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "api_keys",
        sa.Column("id", TEXT, primary_key=True),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
    )
    op.create_table(
        "erasures",
        sa.Column("id", TEXT, primary_key=True),
        sa.Column("person_id", TEXT, nullable=False, unique=True),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("removed", sa.JSON(), nullable=False),
        sa.Column("index_seq", INTEGER, nullable=False),
        sa.Column("search_missed", sa.Boolean()),
    )


def downgrade() -> None:
    for table in ("erasures", "api_keys", "changes", "templates", "erased_ids", "persons"):
        op.drop_table(table)
