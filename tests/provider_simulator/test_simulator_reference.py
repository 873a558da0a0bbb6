"""The reference page names every route, refusal, setting and fault, and the right trigger amounts."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from jitui.provider_simulator.app import ROUTES
from jitui.provider_simulator.entries import BookRefusal
from jitui.provider_simulator.faults import AMOUNT_TRIGGERS, FaultTiming
from jitui.provider_simulator.settings import SimulatorSettings

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "provider-simulator.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "word",
    [
        *(f"{method} {path}" for method, path in ROUTES),
        *BookRefusal,
        *(field.name for field in dataclasses.fields(SimulatorSettings)),
        *(field.name for field in dataclasses.fields(FaultTiming)),
    ],
)
def test_the_reference_names(word: str) -> None:
    assert f"`{word}" in PAGE


def test_the_trigger_amounts_are_the_documented_ones() -> None:
    rows = re.findall(r"^\| (\d\d) \| `(\w+)` \|", PAGE, re.MULTILINE)
    assert {int(digits): name for digits, name in rows} == AMOUNT_TRIGGERS
