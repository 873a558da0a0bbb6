"""A real PostgreSQL from a wheel: functions that start, share, rejoin, recover and stop a server.

A server lives in one folder: `data/` is the cluster, `server.log` its log, `start.lock` lets one process at a time
start or stop it, and `users.lock` is held, shared, by every process that uses it. The kernel releases the lock of a
dead process, so the last process to leave stops the server, whatever happened to the others. A server whose users were
all killed keeps running until the next start joins it. Reasons: docs/decisions/0001.
"""

from __future__ import annotations

from jitui.adapters.embedded_postgres.cluster import with_database
from jitui.adapters.embedded_postgres.place import SYSTEM_STATE
from jitui.adapters.embedded_postgres.postmaster import ServerOptions
from jitui.adapters.embedded_postgres.server import EmbeddedServer, crash, running, shut_down, start, stop
from jitui.adapters.embedded_postgres.standby import base_backup, promote, start_standby
from jitui.adapters.embedded_postgres.upgrade import Upgraded, upgrade_data

__all__ = [
    "SYSTEM_STATE",
    "EmbeddedServer",
    "ServerOptions",
    "Upgraded",
    "base_backup",
    "crash",
    "promote",
    "running",
    "shut_down",
    "start",
    "start_standby",
    "stop",
    "upgrade_data",
    "with_database",
]
