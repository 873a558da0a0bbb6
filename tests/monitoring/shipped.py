"""The rules and the dashboard as they are shipped, and the metrics that they name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parent.parent.parent
RULES = ROOT / "deploy" / "prometheus" / "jitui.rules.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "jitui.json"
RUN_BOOK = ROOT / "docs" / "how-to" / "answer-an-alert.md"
REFERENCE = ROOT / "docs" / "reference" / "metrics.md"

_NAME = re.compile(r"\bjitui_[a-z0-9_]+\b")
_PARTS = ("_bucket", "_sum", "_count")


def alerts() -> list[dict[str, Any]]:
    """Every alert."""
    document = YAML(typ="safe").load(RULES.read_text(encoding="utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    """Every panel of the dashboard that asks for something."""
    return [panel for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"] if panel.get("targets")]


def expressions() -> Iterator[str]:
    """What alerts and panels ask for."""
    yield from (str(alert["expr"]) for alert in alerts())
    yield from (str(target["expr"]) for panel in panels() for target in panel["targets"])


def metrics_in(text: str) -> set[str]:
    """The metrics that a text names; a part of a histogram is the histogram."""
    found = set()
    for name in _NAME.findall(text):
        part = next((part for part in _PARTS if name.endswith(part)), "")
        found.add(name.removesuffix(part))
    return found


def printed(exposition: str) -> set[str]:
    """The metrics of which an exposition has a value."""
    lines = [line for line in exposition.splitlines() if line.startswith("jitui_")]
    return {name for line in lines for name in metrics_in(re.split(r"[{ ]", line)[0])}
