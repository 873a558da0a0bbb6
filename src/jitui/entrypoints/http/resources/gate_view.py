"""How places stand with the gates of the policy, and what became of their coverage, as the API shows it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Literal

from jitui.aftersales.governance.coverage import GateStatus
from jitui.aftersales.governance.gates import (
    CoverageEntry,
    GateRecord,
    as_the_merchant_reads,
    entry_as_the_merchant_reads,
)
from jitui.aftersales.governance.registry import Scope
from jitui.entrypoints.http.mapping import shown
from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.shared import Shown

CoverageNews = Literal["notice_given", "notice_withdrawn", "left", "returned", "set", "unset"]
Figures = Mapping[str, int | str | bool | None]


class GateView(Shown, frozen=True, kw_only=True):
    """How a shop, category or item stands with a gate of the policy; of a private one a merchant sees the dates."""

    scope: Scope
    ref: str
    gate: str
    status: GateStatus
    since: date
    leaves_on: date | None
    text: Mapping[str, str]
    return_text: Mapping[str, str]
    figures: Figures
    row_days: int
    leave_after_days: int
    return_after_days: int
    computed_on: date | None


class CoverageEntryView(Shown, frozen=True, kw_only=True):
    """What became of the coverage of a place, by a gate or by a person."""

    scope: Scope
    ref: str
    what: CoverageNews
    at: datetime
    gate: str | None
    leaves_on: date | None
    text: Mapping[str, str]
    figures: Figures
    policy_version: str | None
    set_by: str | None


def gate_view(record: GateRecord, *, for_merchant: bool) -> GateView:
    """A record of a gate for its reader."""
    read = as_the_merchant_reads(record) if for_merchant else record
    return shown(GateView, read, gate=read.gate_id, text=read.texts, return_text=read.return_texts, figures=read.facts)


def entry_view(entry: CoverageEntry, *, for_merchant: bool) -> CoverageEntryView:
    """A row of the history for its reader."""
    read = entry_as_the_merchant_reads(entry) if for_merchant else entry
    return shown(CoverageEntryView, read, gate=read.gate_id, text=read.texts, figures=read.facts)


_TEXT = {"zh": "近 30 天按时发货率低于 90%", "en": "Fewer than 90 of 100 parcels left in time"}
_FIGURES: Figures = {"shop.shipped_30d": 120, "shop.shipped_on_time_30d": 104}
GATE = GateView(
    scope=Scope.SHOP,
    ref="s-1",
    gate="ships_on_time",
    status=GateStatus.NOTICE,
    since=sample.ASKED_AT.date(),
    leaves_on=sample.ASKED_AT.date() + timedelta(days=16),
    text=_TEXT,
    return_text={"zh": "按时发货率达到 95%", "en": "At least 95 of 100 parcels leave in time"},
    figures=_FIGURES,
    row_days=0,
    leave_after_days=3,
    return_after_days=7,
    computed_on=sample.ASKED_AT.date(),
)
ENTRY = CoverageEntryView(
    scope=Scope.SHOP,
    ref="s-1",
    what="notice_given",
    at=sample.ASKED_AT,
    gate="ships_on_time",
    leaves_on=sample.ASKED_AT.date() + timedelta(days=16),
    text=_TEXT,
    figures=_FIGURES,
    policy_version="2",
    set_by=None,
)
EXAMPLES = (GATE, ENTRY)
