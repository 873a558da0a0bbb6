"""P5: the default policy's features as of each request, from ten million to a hundred million events.

One request for every twenty events, half a year of requests behind a year of history, buyers of very different
activity. Each size is a process of its own; its peak memory is what the kernel says of it, so the cap is held by the
process as a whole and not only by what the engine counts.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.frame import Measured, Run, result
from benchmarks.histories import write_events
from benchmarks.processes import ROOT

SIZES = (10_000_000, 100_000_000)
CAP_MIB = 4096
ENGINE_MIB = 2560
"""What the engine may count as its own: the rest of the cap is for what it does not count."""
AT_MOST = 11.0


def measure(run: Run) -> Measured:
    """Seconds of the larger size against ten times the smaller one's; `detail` has both with their peaks."""
    found = {size: _one_size(size, run) for size in SIZES}
    small, large = (found[size] for size in SIZES)
    ratio = large["seconds"] / small["seconds"]
    peak_mib = max(small["peak_memory_mib"], large["peak_memory_mib"])
    return result(
        "P5",
        ours=large["seconds"],
        floor=small["seconds"],
        unit="s",
        ratio=round(ratio, 2),
        holds=ratio <= AT_MOST and peak_mib <= CAP_MIB,
        detail={"events": {f"{size:,}": found[size] for size in SIZES}, "cap_mib": CAP_MIB, "engine_mib": ENGINE_MIB},
    )


def _one_size(events: int, run: Run) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="jitui-p5-") as name:
        folder = Path(name)
        run.say(f"   writing {events:,} events")
        write_events(folder / "history", events)
        run.say(f"   features from {events:,} events")
        return features(folder / "history", folder / "features.parquet", "duckdb")


def features(history: Path, out: Path, engine: str, master: str = "local[2]") -> dict[str, Any]:
    """Seconds and peak memory of one process of `features_as_of`."""
    words = [sys.executable, "-m", "benchmarks.features_as_of", str(history), str(out), engine, master, str(ENGINE_MIB)]
    done = subprocess.run(words, cwd=ROOT, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured
