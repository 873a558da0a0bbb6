"""Sign-in by OpenID Connect, how a session was begun, and an id for each entry of the allow and deny lists."""

from pathlib import Path

from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Run the SQL file beside this one."""
    op.get_bind().exec_driver_sql(Path(__file__).with_suffix(".sql").read_text())
