"""Compares a provider's statement file with the ledger, for the command line and the console."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from pathlib import Path

from jitui.aftersales.reconciliation.reconcile import ReconciliationReport, Reconciling, reconcile
from jitui.aftersales.reconciliation.statement import StatementFormat, window_of
from jitui.bootstrap import Service
from jitui.bootstrap_providers import statement_formats
from jitui.errors import BadInput, NotConfigured
from jitui.text import sentence


def statement_format(provider: str) -> StatementFormat:
    """How a provider writes its statements. Raises BadInput for one that is not known."""
    formats = statement_formats()
    layout = formats.get(provider)
    if layout is None:
        said = sentence(
            "The provider is one of %(names)s, not %(name)s.", names=", ".join(formats), name=repr(provider)
        )
        raise BadInput(said, path="provider")
    return layout


async def reconcile_file(
    service: Service, provider: str, statement: Path, since: datetime | None = None, until: datetime | None = None
) -> ReconciliationReport:
    """Compare a file with the ledger; without times its rows define what it covers.

    Raises BadInput, and writes nothing, when the file is no statement of this provider; NotConfigured when the service
    has one connection alone.
    """
    if service.settings.pool_size < 2:
        raise NotConfigured("Reconciling needs two connections: set JITUI_POOL_SIZE to 2 or more.")
    layout = statement_format(provider)
    parts = Reconciling(service.store, service.staging, service.tasks, service.clock, service.providers.get(provider))
    covers = partial(
        window_of,
        whole_days_in=layout.whole_days_in,
        since=since,
        until=until,
        tells_its_end=layout.tells_its_end,
    )
    return await reconcile(parts, provider, layout.read(statement), covers)
