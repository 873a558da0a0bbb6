"""A payment provider to test and demonstrate with: an HTTP server that keeps its own durable books.

It shares no table and no code path with the service: what its books say was paid is the truth that checks
compare with.
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
