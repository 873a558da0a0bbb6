"""One run of features as of each request, a process of its own so that its peak memory is its own (P5, P6).

python -m benchmarks.features_as_of HISTORY OUT duckdb|spark MASTER MEMORY_MIB prints one line of JSON.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from time import perf_counter
from zoneinfo import ZoneInfo

from jitui.backtest.engine import EngineName, open_engine
from jitui.backtest.facts import Choice, request_facts
from jitui.backtest.replay import tables_in
from jitui.bootstrap import default_policy


def main(history: str, out: str, engine_name: str, master: str, memory_mib: str) -> None:
    """Write `request_id` and every feature of the default policy; the engine's start does not count."""
    policy = default_policy()
    names = [feature.name for feature in policy.features]
    work = Path(out).parent
    with open_engine(EngineName(engine_name), work, memory_mib=int(memory_mib), master=master) as engine:
        tables = tables_in(engine, Path(history))
        began = perf_counter()
        facts = request_facts(engine, tables, policy, names, Choice(ZoneInfo("Asia/Shanghai")))
        engine.write(facts.select("request_id", *names), Path(out))
        seconds = perf_counter() - began
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"seconds": round(seconds, 2), "peak_memory_mib": peak_mib}))


if __name__ == "__main__":
    main(*sys.argv[1:])
