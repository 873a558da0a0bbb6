"""Alembic's entry point; `jitui.adapters.postgres.migrate` passes the connection."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transaction_per_migration=False)
with context.begin_transaction():
    context.run_migrations()
