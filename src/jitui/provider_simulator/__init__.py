"""A payment provider for tests and demonstrations: an HTTP server with durable books of its own.

It shares no table and no code path with the service, so checks can compare the service with what its books say was
paid.
"""

from jitui.provider_simulator.app import create_app
from jitui.provider_simulator.books import Books, open_books
from jitui.provider_simulator.faults import Faults, FaultTiming, parse_faults
from jitui.provider_simulator.server import run
from jitui.provider_simulator.settings import SimulatorSettings
from jitui.provider_simulator.signature import new_webhook_secret

__all__ = [
    "Books",
    "FaultTiming",
    "Faults",
    "SimulatorSettings",
    "create_app",
    "new_webhook_secret",
    "open_books",
    "parse_faults",
    "run",
]
