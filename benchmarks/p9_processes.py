"""P9: a second API process on the same database; throughput must not fall."""

from __future__ import annotations

from typing import cast

from benchmarks import p2_asking
from benchmarks.frame import Measured, Run, result

NOISE = 0.05
"""Two windows of one and the same thing differ by as much on a shared machine."""


def measure(run: Run) -> Measured:
    """From P2's figures of this run, or from a P2 of its own: the best of two processes against the best of one."""
    asked = run.earlier.get("P2") or p2_asking.measure(run)
    ours = cast(dict[str, list[dict[str, float]]], asked.detail["ours"])
    best = {int(processes): max(row["per_second"] for row in rows) for processes, rows in ours.items()}
    return result(
        "P9",
        ours=best[2],
        floor=best[1],
        unit="1/s",
        holds=best[2] >= best[1] * (1 - NOISE),
        detail={"processes": {str(count): rate for count, rate in best.items()}, "noise_allowed": NOISE},
    )
