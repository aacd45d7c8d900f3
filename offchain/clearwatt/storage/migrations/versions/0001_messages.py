"""The log of signed messages, series made from them, cursors over peers, and what the database says of itself."""

from uuid import uuid4

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "messages",
        sa.Column("sequence", SEQUENCE, primary_key=True, autoincrement=True),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("signer", sa.String, nullable=False),
        sa.Column("settlement", sa.String, nullable=False),
        sa.Column("auction", sa.BigInteger),
        sa.Column("member", sa.String),
        sa.Column("point", sa.String),
        sa.Column("first", sa.BigInteger),
        sa.Column("last", sa.BigInteger),
        sa.Column("key_id", sa.LargeBinary, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("received", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("digest", name="messages_digest"),
        sqlite_autoincrement=True,
    )
    op.create_index("messages_statement", "messages", ["settlement", "auction"])
    op.create_index("messages_point", "messages", ["point", "last"])
    op.create_index("messages_key", "messages", ["key_id", "sequence"])
    op.create_table(
        "series",
        sa.Column("settlement", sa.String, primary_key=True),
        sa.Column("auction", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("point", sa.String, primary_key=True),
        sa.Column("key_id", sa.LargeBinary, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("recorded", sa.BigInteger, nullable=False),
    )
    op.create_index("series_key", "series", ["key_id"])
    op.create_table(
        "cursors",
        sa.Column("purpose", sa.String, primary_key=True),
        sa.Column("peer", sa.String, primary_key=True),
        sa.Column("store_id", sa.String, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
    )
    facts = op.create_table(
        "facts",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("value", sa.String, nullable=False),
    )
    op.bulk_insert(facts, [{"name": "store_id", "value": uuid4().hex}])
