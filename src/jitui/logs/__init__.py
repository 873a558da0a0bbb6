"""The service's log: one line an event, on standard error; no local values, no secrets, nothing that steers a terminal.

Importing this package makes structlog and the standard library log so, whoever logs first: what structlog does
unconfigured is to print every local variable beside a trace, passwords included. `configure` adds what is set.
"""

from jitui.logs.hiding import without_secrets
from jitui.logs.lines import (
    configure,
    get_logger,
    install_default,
    isolated_trace,
    name_request,
    name_trace,
    tell_failure,
    write_event,
)
from jitui.logs.tracebacks import trace_of

__all__ = [
    "configure",
    "get_logger",
    "isolated_trace",
    "name_request",
    "name_trace",
    "tell_failure",
    "trace_of",
    "without_secrets",
    "write_event",
]

install_default()
