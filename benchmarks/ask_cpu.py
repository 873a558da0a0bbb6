"""Processor time of the API per ask, of this checkout and of another one, in turn on one database.

`python -m benchmarks.ask_cpu --against ../other/src` runs a service of each, gives both the same load in turn, and
prints each window's figures and the median of the ratios. Pairs, because a machine's speed drifts.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from benchmarks import api, environment
from benchmarks.load import Load
from benchmarks.processes import ROOT, apply, cpu_seconds

WINDOW_SECONDS = 300.0
"""A window ends when its asks are answered; this only bounds one that hangs."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, help="the src folder of the other checkout")
    parser.add_argument("--windows", type=int, default=6, help="counted windows of each")
    parser.add_argument("--asks", type=int, default=1500, help="asks in a window")
    parser.add_argument("--clients", type=int, default=8)
    options = parser.parse_args()
    sources = [ROOT / "src", *([options.against.resolve()] if options.against else [])]
    with tempfile.TemporaryDirectory() as home, environment.server() as server, ExitStack() as stack:
        url = environment.new_database(server, "ours")
        numbers = environment.seed(url, (options.windows + 1) * len(sources) * options.asks)
        key = asyncio.run(api.prepare(url, Path(home)))
        services = [stack.enter_context(api.serving(url, Path(home), processes=1, source=one)) for one in sources]
        first, ratios = numbers.start, []
        for window in range(options.windows + 1):
            asyncio.run(api.roll_up(url, Path(home)))
            spent = [0.0] * len(services)
            for turn in sorted(range(len(services)), reverse=bool(window % 2)):  # neither always comes first
                spent[turn] = _window(services[turn], key, first, options.asks, options.clients)
                first += options.asks
            if window:  # the first one opens connections and prepares statements
                ratios.append(spent[0] / spent[-1])
                print("  ".join(f"{one:.3f} ms" for one in spent), f"  ratio {ratios[-1]:.3f}", flush=True)
        print(f"median ratio {median(ratios):.3f}")


def _window(service: api.Serving, key: str, first: int, asks: int, clients: int) -> float:
    """Milliseconds of the service's processor time per ask."""
    before = cpu_seconds(service.pid)
    loaded = apply(Load(service.host, service.port, key, first, asks, clients, WINDOW_SECONDS))
    return (cpu_seconds(service.pid) - before) * 1000 / loaded.answered


if __name__ == "__main__":
    main()
