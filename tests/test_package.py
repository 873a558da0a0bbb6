"""The package: what `import jitui` offers, and what it does not import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import jitui

POLICY = Path(__file__).parents[1] / "policies" / "unshipped-instant-refund.yaml"


def loaded_after(statement: str) -> set[str]:
    """Names of all modules in a fresh interpreter after a statement."""
    code = f"{statement}\nimport sys\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


def test_the_four_names_decide_and_explain() -> None:
    assert jitui.__all__ == ["Policy", "PolicyRefused", "decide", "explain"]
    policy = jitui.Policy.from_file(POLICY)
    decision = jitui.decide(policy, {"order.paid_minor": 30_000})
    assert jitui.explain(decision, "en").rows[2].sentence == "The order's paid amount is under CN¥300.00"
    assert issubclass(jitui.PolicyRefused, Exception)


def test_import_pulls_in_nothing_heavy() -> None:
    heavy = {"cel_expr_python", "google.protobuf", "ruamel.yaml", "duckdb", "litestar", "psycopg", "babel", "msgspec"}
    assert not loaded_after("import jitui") & heavy


def test_the_policy_floor_pulls_in_no_floor_above_and_no_way_out() -> None:
    loaded = loaded_after("from jitui.policy import Policy, decide\nfrom jitui import policy")
    above = {"jitui.aftersales", "jitui.backtest", "jitui.adapters", "jitui.entrypoints", "jitui.bootstrap"}
    assert not loaded & above
    assert not loaded & {"jitui.settings", "psycopg", "httpx", "litestar", "duckdb"}
