"""The databases of the simulation: one PostgreSQL server, a template with data, and a copy of it for each world."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import psycopg
from psycopg import sql

from jitui.adapters import embedded_postgres
from jitui.adapters.embedded_postgres import EmbeddedServer, ServerOptions, with_database
from jitui.adapters.postgres.migrate import upgrade
from jitui.aftersales.changes import RecordBuyerEvent
from jitui.aftersales.governance.policies import install
from jitui.aftersales.governance.registry import new_selection
from jitui.aftersales.model.order import Buyer
from jitui.aftersales.ports import HistoryRecord
from jitui.bootstrap import default_policy, open_service
from jitui.demo.simulation.workload import BUYERS, REVIEWED_BUYER, STARTS_AT
from jitui.errors import BadInput
from jitui.ids import lane_of
from jitui.policy import Policy
from jitui.settings import Settings

ADVANCE_UP_TO_MINOR = 15_000
_HISTORY = ("order_paid", "order_completed", "refund_before_shipment", "dispute_lost", "shipped", "shipped_on_time")


@dataclass
class Environment:
    """A running server with the template; `folder` has the books and other files, and is deleted at the end."""

    server_url: str
    folder: Path
    name: str
    server: EmbeddedServer | None = None
    options: ServerOptions | None = None

    @property
    def template(self) -> str:
        """The name of the template."""
        return f"{self.name}_template"

    @contextmanager
    def database(self, number: int) -> Iterator[str]:
        """The database of one world; it is dropped at the end, whoever is still connected."""
        name = f"{self.name}_{number}"
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(self.template))
        with psycopg.connect(self.server_url, autocommit=True) as connection:
            connection.execute(create)
        try:
            yield with_database(self.server_url, name)
        finally:
            self._drop(name)

    def restart(self) -> None:
        """Kill the server with SIGKILL and start it again; it recovers from its log."""
        assert self.server is not None and self.options is not None
        embedded_postgres.crash(self.server)
        self.server = embedded_postgres.start(self.server.folder, self.options)

    def _drop(self, name: str) -> None:
        with psycopg.connect(self.server_url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def open_environment(server_url: str | None, *, restarts: bool) -> Iterator[Environment]:
    """Our own server, durable when it will be killed; or the named one, which is never killed.

    Raises BadInput when the named server would have to be killed.
    """
    if server_url is not None and restarts:
        raise BadInput("Only a server of our own can be killed; leave the database URL away.")
    folder = Path(tempfile.mkdtemp(prefix="jitui-faults-"))
    name = f"jitui_faults_{uuid4().hex[:8]}"
    try:
        if server_url is not None:
            with _stocked(Environment(server_url, folder, name)) as environment:
                yield environment
            return
        options = ServerOptions(durable=restarts, shared_buffers_mb=64)
        server = embedded_postgres.start(folder / "postgres", options)
        with _stocked(Environment(server.url, folder, name, server, options)) as environment:
            yield environment
    finally:
        embedded_postgres.shut_down(folder / "postgres")
        _remove(folder)


def _remove(folder: Path) -> None:
    """Delete the folder and the server's folder, which may be a link to another place."""
    postgres = folder / "postgres"
    if postgres.is_symlink():
        shutil.rmtree(postgres.resolve(), ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _stocked(environment: Environment) -> Iterator[Environment]:
    with psycopg.connect(environment.server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(environment.template)))
    try:
        upgrade(with_database(environment.server_url, environment.template), single_person=True)
        yield environment
    finally:
        environment._drop(environment.template)


def policy_with_advance() -> Policy:
    """The default policy, under which the platform's account pays the smaller refunds where a balance is short."""
    return Policy.from_text(f"{default_policy().text}\nadvance: {{at_most_minor: {ADVANCE_UP_TO_MINOR}}}\n")


async def stock(environment: Environment) -> None:
    """Store buyers with a good record, a complete history, a policy, and roll-ups as of the start."""
    url = with_database(environment.server_url, environment.template)
    settings = Settings(home=environment.folder, database_url=url, pool_size=2)
    async with open_service(settings, url, clock=lambda: STARTS_AT) as service:
        await install(service.policies, policy_with_advance(), by="installation", now=STARTS_AT)
        since = STARTS_AT - timedelta(days=3650)
        await service.registry.record_history([HistoryRecord(kind, since) for kind in _HISTORY])
        for buyer_id in BUYERS:
            registered = STARTS_AT - timedelta(days=5 if buyer_id == REVIEWED_BUYER else 400)
            await service.registry.put_buyer(Buyer(lane_of(buyer_id), buyer_id, registered), STARTS_AT)
            await service.registry.select(new_selection(buyer_id, "allow", "", "simulation", STARTS_AT))
            await service.registry.record_buyer_events(
                [
                    RecordBuyerEvent(buyer_id, f"{kind}-{day}", kind, STARTS_AT - timedelta(days=day + 5), STARTS_AT)
                    for kind in ("order_paid", "order_completed")
                    for day in range(30)
                ]
            )
        await service.feed.roll_up(STARTS_AT)
