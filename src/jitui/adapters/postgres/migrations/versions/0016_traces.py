"""The trace of a refund goes with its row to the worker."""

from pathlib import Path

from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Run the SQL file beside this one."""
    op.get_bind().exec_driver_sql(Path(__file__).with_suffix(".sql").read_text())
