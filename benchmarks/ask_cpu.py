"""Processor time of the API per ask, of this checkout and of another one, or with and without a policy in shadow.

`python -m benchmarks.ask_cpu --against ../other/src` runs a service of each, gives both the same load in turn, and
prints each window's figures and the median of the ratios. Pairs, because a machine's speed drifts. With `--shadow` the
first service has a policy in shadow, with a feature and caps of its own, and the second has none.
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
from jitui.aftersales.governance.policies import text_of
from jitui.aftersales.governance.rollout import StepRefusal, start_shadow
from jitui.bootstrap import default_policy, open_service
from jitui.policy import Policy, public_view

WINDOW_SECONDS = 300.0
"""A window ends when its asks are answered; this only bounds one that hangs."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, help="the src folder of the other checkout")
    parser.add_argument("--shadow", action="store_true", help="compare a policy in shadow with none")
    parser.add_argument("--windows", type=int, default=6, help="counted windows of each")
    parser.add_argument("--asks", type=int, default=1500, help="asks in a window")
    parser.add_argument("--clients", type=int, default=8)
    options = parser.parse_args()
    sources = [ROOT / "src", *([options.against.resolve()] if options.against else [])]
    with tempfile.TemporaryDirectory() as home, environment.server() as server, ExitStack() as stack:
        url = environment.new_database(server, "ours")
        asks = (options.windows + 1) * max(2, len(sources)) * options.asks
        numbers = environment.seed(url, asks)
        keys = [asyncio.run(api.prepare(url, Path(home)))] * len(sources)
        places = [(url, source) for source in sources]
        if options.shadow:
            plain = environment.new_database(server, "plain")
            environment.seed(plain, asks)
            keys = [*keys[:1], asyncio.run(api.prepare(plain, Path(home)))]
            places = [(url, sources[0]), (plain, sources[0])]
            asyncio.run(_put_in_shadow(url, Path(home)))
        services = [
            stack.enter_context(api.serving(place, Path(home), processes=1, source=one)) for place, one in places
        ]
        first, ratios = numbers.start, []
        for window in range(options.windows + 1):
            for place in {place for place, _ in places}:
                asyncio.run(api.roll_up(place, Path(home)))
            spent = [0.0] * len(services)
            for turn in sorted(range(len(services)), reverse=bool(window % 2)):  # neither always comes first
                spent[turn] = _window(services[turn], keys[turn], first, options.asks, options.clients)
                first += options.asks
            if window:  # the first one opens connections and prepares statements
                ratios.append(spent[0] / spent[-1])
                print("  ".join(f"{one:.3f} ms" for one in spent), f"  ratio {ratios[-1]:.3f}", flush=True)
        print(f"median ratio {median(ratios):.3f}")


async def _put_in_shadow(url: str, home: Path) -> None:
    """A stricter policy with a feature, a condition and caps of its own."""
    text = default_policy().text
    for old, new in (
        ('version: "2"', 'version: "3"'),
        ("order.paid_minor < limit_minor", "order.paid_minor < 20000 && buyer.paid_orders_30d >= 0"),
        ("features:", "features:\n  buyer.paid_orders_30d: {count: order_paid, over: 30d}"),
        ("per_buyer: {count: 3, amount_minor: 60000, over: 30d}", "per_buyer: {count: 2, over: 7d}"),
    ):
        assert old in text, old
        text = text.replace(old, new, 1)
    policy = Policy.from_text(text)
    async with open_service(environment.settings_for(url, home), url) as service:
        now = service.clock()
        kept = await service.policies.push(text_of(policy, by="bench", now=now), public_view(policy))
        done = await start_shadow(service.policies, kept, by="bench", now=now, reason="measured")
        assert not isinstance(done, StepRefusal), done


def _window(service: api.Serving, key: str, first: int, asks: int, clients: int) -> float:
    """Milliseconds of the service's processor time per ask."""
    before = cpu_seconds(service.pid)
    loaded = apply(Load(service.host, service.port, key, first, asks, clients, WINDOW_SECONDS))
    return (cpu_seconds(service.pid) - before) * 1000 / loaded.answered


if __name__ == "__main__":
    main()
