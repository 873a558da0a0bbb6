"""The main parts of a back-test's report as plain data, for a page that may not run the report's own scripts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from jitui.backtest.changes import Tally
from jitui.backtest.report import share
from jitui.backtest.report_page import View
from jitui.backtest.run import Backtest
from jitui.backtest.words import WORDS


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure with its name, and what it is made of."""

    name: str
    value: str
    detail: str


@dataclass(frozen=True, slots=True)
class DrawnChart:
    """A chart's heading, height in pixels, and options for ECharts."""

    title: str
    height: int
    option: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ReportTable:
    """A table: its heading, its columns, of which the first is text, and its rows."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class ReportParts:
    """What a report says in one language; without requests there is only `none`."""

    names: tuple[str, str]
    none: str
    answer_title: str
    answer: tuple[str, ...]
    period: str
    figures: tuple[Figure, ...]
    gaps_title: str
    gaps: tuple[str, ...]
    charts: tuple[DrawnChart, ...]
    tables: tuple[ReportTable, ...]


def report_parts(done: Backtest) -> dict[str, ReportParts]:
    """The parts in each language of the report, by the report's own functions."""
    assert done.findings is not None
    return {language: _parts(View(done, done.findings, words)) for language, words in WORDS.items()}


def _parts(v: View) -> ReportParts:
    t, found = v.t, v.found
    if not v.total.requests:
        return ReportParts(v.names, t["none"], t["answer"], (), "", (), t["gaps"], (), (), ())
    gaps = tuple(v.gaps()) or (t["gaps_none"],)
    return ReportParts(
        names=v.names,
        none="",
        answer_title=t["answer"],
        answer=tuple(v.answer()),
        period=t["period"].format(first=found.first_at, last=found.last_at, zone=found.time_zone),
        figures=tuple(_figures(v)),
        gaps_title=t["gaps"],
        gaps=(*gaps, t["gap_rule"]) if v.has_unknown() else gaps,
        charts=tuple(_charts(v)),
        tables=tuple(_tables(v)),
    )


def _charts(v: View) -> Iterator[DrawnChart]:
    """The charts, each with what it is about in its heading: nothing else stands above it here."""
    for key, one in v.charts.items():
        kind, _, place = key.partition("-")
        about = ""
        if kind == "segment":
            about = v.t["by_segment"].format(segment=v.segments[int(place)].name)
        elif kind == "obstacles":
            about = v.names[1 - int(place)]
        yield DrawnChart(f"{one.title} · {about}" if about else one.title, one.height, dict(one.option))


def _figures(v: View) -> Iterator[Figure]:
    t, total, before, after = v.t, v.total, v.found.cost_before, v.found.cost_after
    shares = f"{share(total.before, total.requests)} → {share(total.after, total.requests)}"
    yield Figure(t["share_at_once"], shares, f"{total.before:,} → {total.after:,} / {total.requests:,}")
    for name, was, will in (
        (t["money_out"], total.before_minor, total.after_minor),
        (t["expected_loss"], before.cost_minor, after.cost_minor),
    ):
        detail = f"{v.money(was)} → {v.money(will)} ({v.change(was, will)})"
        yield Figure(name, f"{v.money(will)} {v.currency}", detail)
    minutes = f"{t['minutes']}: {before.review_minutes_saved:,} → {after.review_minutes_saved:,}"
    yield Figure(t["gains_loses"], f"+{total.gained:,} / −{total.lost:,}", minutes)


def _tables(v: View) -> Iterator[ReportTable]:
    t, amount = v.t, f"{v.t['amount']}, {v.currency}"
    rows = tuple((name, f"{count:,}", v.money(minor)) for name, count, minor in v.four_ways())
    yield ReportTable(t["four_ways"], (f"{v.names[0]} → {v.names[1]}", t["requests"], amount), rows)
    for one in v.segments:
        if one.segment.is_known:
            columns = (one.name, t["requests"], *v.names, t["gain"], t["lose"])
            yield ReportTable(t["by_segment"].format(segment=one.name), columns, tuple(_segment_rows(one.rows)))
    stopped = tuple(
        (one.id, f"{one.stopped:,}", f"{one.unknown:,}", f"{one.alone:,}", f"{one.first:,}")
        for one in v.done.summary.obstacles
    )
    names = ("condition", "stopped", "unknown", "alone", "first")
    yield ReportTable(t["obstacles"], tuple(t[name] for name in names), stopped)


def _segment_rows(rows: Sequence[tuple[str, Tally]]) -> Iterator[tuple[str, ...]]:
    for name, row in rows:
        shares = (share(row.before, row.requests), share(row.after, row.requests))
        yield (name, f"{row.requests:,}", *shares, f"{row.gained:,}", f"{row.lost:,}")
