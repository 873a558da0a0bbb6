"""P1: one decision of the default policy with its explanation, against zen-engine and cel-python without one.

The peers get the same nine conditions, compiled once, on the same facts. Zen evaluates them as one decision graph, its
own way of deciding, so that it converts the facts once; cel-python evaluates each of its programs on one activation.
Processor time of this process counts, not time on the clock: nothing here waits.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping
from time import process_time
from typing import Any

import celpy
import zen
from celpy.adapter import json_to_cel

from benchmarks.frame import Measured, Run, result
from jitui.bootstrap import default_policy
from jitui.policy import Policy, decide

AT_MOST_OF_ZEN = 2.0
AT_LEAST_OF_CEL_PYTHON = 50.0
ROUNDS = 7

FACTS: Mapping[str, Any] = {
    "buyer.account_age_days": 400,
    "buyer.completed_orders_365d": 12,
    "buyer.paid_orders_90d": 5,
    "buyer.refunds_before_shipment_90d": 1,
    "buyer.disputes_lost_365d": 0,
    "buyer.selected": True,
    "buyer.restricted": False,
    "order.paid_minor": 12_900,
    "order.shipment": "unshipped",
    "order.lines": [
        {"line_id": "1", "customised": False, "virtual": False, "covered": True},
        {"line_id": "2", "customised": False, "virtual": False, "covered": True},
    ],
    "shop.covered": True,
    "caps.buyer_ok": True,
    "caps.shop_ok": True,
    "caps.platform_ok": True,
    "service.paused": False,
}
"""A request that every condition lets through, so that nobody is spared one."""

ZEN_CONDITIONS = (
    "buyer.account_age_days >= 90 and buyer.completed_orders_365d >= 6 and buyer.disputes_lost_365d == 0"
    " and buyer.refunds_before_shipment_90d * 5 <= buyer.paid_orders_90d",
    "buyer.selected",
    "order.paid_minor < 30000",
    "all(order.lines, not #.customised and not #.virtual)",
    "order.shipment in ['unshipped', 'label_printed']",
    "shop.covered and all(order.lines, #.covered)",
    "not buyer.restricted",
    "caps.buyer_ok and caps.shop_ok and caps.platform_ok",
    "not service.paused",
)


def measure(run: Run) -> Measured:
    """Microseconds for each condition; the three take turns, and the median of the rounds counts."""
    policy = default_policy()
    conditions = len(policy.conditions)
    contenders = {"jitui": _jitui(policy), "zen": _zen(), "cel-python": _cel_python(policy)}
    times: dict[str, list[float]] = {name: [] for name in contenders}
    share = run.seconds / ROUNDS / len(contenders)
    for _ in range(ROUNDS):
        for name, work in contenders.items():
            times[name].append(_microseconds(work, share))
    each = {name: statistics.median(found) / conditions for name, found in times.items()}
    of_zen, of_cel_python = each["jitui"] / each["zen"], each["cel-python"] / each["jitui"]
    return result(
        "P1",
        ours=round(each["jitui"], 2),
        floor=round(each["zen"], 2),
        unit="µs/cond",
        ratio=round(of_zen, 2),
        holds=of_zen <= AT_MOST_OF_ZEN and of_cel_python >= AT_LEAST_OF_CEL_PYTHON,
        detail={
            "conditions": conditions,
            "decision_us": round(each["jitui"] * conditions, 1),
            "zen_us": round(each["zen"] * conditions, 1),
            "cel_python_us": round(each["cel-python"] * conditions, 1),
            "times_faster_than_cel_python": round(of_cel_python, 1),
        },
    )


def _microseconds(work: Callable[[], object], seconds: float) -> float:
    """The mean of as many calls as fit into the share, warmed up first."""
    work()
    calls, began = 0, process_time()
    while (spent := process_time() - began) < seconds:
        for _ in range(20):
            work()
        calls += 20
    return spent / calls * 1e6


def _jitui(policy: Policy) -> Callable[[], object]:
    assert decide(policy, FACTS).outcome == "instant"
    return lambda: decide(policy, FACTS)


def _zen() -> Callable[[], object]:
    facts = _nested()
    expressions = [{"id": str(n), "key": f"c{n}", "value": text} for n, text in enumerate(ZEN_CONDITIONS)]
    nodes = [
        {"id": "in", "type": "inputNode", "name": "in"},
        {"id": "all", "type": "expressionNode", "name": "all", "content": {"expressions": expressions}},
        {"id": "out", "type": "outputNode", "name": "out"},
    ]
    edges = [{"id": "1", "sourceId": "in", "targetId": "all"}, {"id": "2", "sourceId": "all", "targetId": "out"}]
    decision = zen.ZenEngine().create_decision(json.dumps({"nodes": nodes, "edges": edges}))
    assert all(decision.evaluate(facts)["result"].values())
    return lambda: decision.evaluate(facts)


def _cel_python(policy: Policy) -> Callable[[], object]:
    environment = celpy.Environment()
    definitions = {one.name: f"({one.when})" for one in policy.definitions}
    texts = [definitions.get(one.when, one.when) for one in policy.conditions]
    programs = [environment.program(environment.compile(text)) for text in texts]
    activation = {name: json_to_cel(value) for name, value in _nested().items()}
    assert all(program.evaluate(activation) for program in programs)
    return lambda: [program.evaluate(activation) for program in programs]


def _nested() -> dict[str, Any]:
    """`buyer.selected` as a field of `buyer`, as the peers read it."""
    facts: dict[str, Any] = {}
    for name, value in FACTS.items():
        root, field = name.split(".")
        facts.setdefault(root, {})[field] = value
    return facts
