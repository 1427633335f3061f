"""Which model is served, crops and embeddings by the next model beside templates, and what a job found."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# PostgreSQL: texts are compared by their bytes, and whole numbers have 64 bits, as on SQLite.
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
INTEGER = sa.Integer().with_variant(sa.BigInteger(), "postgresql")


def upgrade() -> None:
    # No row: the first start writes the model that the templates are of.
    op.create_table(
        "served_model",
        sa.Column("place", INTEGER, primary_key=True, autoincrement=False),
        sa.Column("model_id", TEXT, nullable=False),
        sa.Column("next_id", TEXT),
    )
    op.create_table(
        "template_parts",
        sa.Column("template_id", TEXT, sa.ForeignKey("templates.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("part", TEXT, primary_key=True),
        sa.Column("key_id", TEXT, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
    )
    with op.batch_alter_table("jobs") as jobs:
        jobs.add_column(sa.Column("result", sa.JSON()))


def downgrade() -> None:
    with op.batch_alter_table("jobs") as jobs:
        jobs.drop_column("result")
    for table in ("template_parts", "served_model"):
        op.drop_table(table)
