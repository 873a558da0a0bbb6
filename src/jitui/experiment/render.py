"""The report of an experiment for people: tables for the terminal, and one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jitui.backtest.page import page_environment
from jitui.backtest.report import report_table
from jitui.experiment.compare import Comparison
from jitui.experiment.exposures import HOLD_OUT, LIVE
from jitui.experiment.intervals import Interval
from jitui.experiment.metrics import FEWEST_EVENTS, METRICS, MetricId
from jitui.experiment.report import DayReading, ExperimentReport, MetricReport, arms_without_people
from jitui.experiment.words import WORDS

if TYPE_CHECKING:
    from rich.table import Table

_WIDTH, _HEIGHT = 720, 160


def number(value: float | None, metric: MetricId, *, signed: bool = False) -> str:
    """A value of a metric as it is shown: rates per 1,000, two digits; a question mark for what is unknown."""
    if value is None:
        return "?"
    shown = value * 1000 if METRICS[metric].counts_events else value
    return f"{shown:+.2f}" if signed else f"{shown:.2f}"


def interval(value: Interval | None, metric: MetricId) -> str:
    """`-1.20 … +0.40`."""
    if value is None:
        return "?"
    return f"{number(value.lower, metric, signed=True)} … {number(value.upper, metric, signed=True)}"


def days_left(one: MetricReport, words: Mapping[str, str]) -> str:
    """The days until the worthwhile change shows."""
    if one.days_left is None:
        return words["unknown"]
    return words["shows_now"] if one.days_left == 0 else f"{one.days_left:,}"


def remarks(report: ExperimentReport, words: Mapping[str, str]) -> Iterator[str]:
    """What a reader must know before the figures."""
    exposed = report.exposed
    if empty := arms_without_people(report):
        yield words["nobody"].format(arms=", ".join(words["held_out" if arm == HOLD_OUT else "live"] for arm in empty))
    percents = ", ".join(str(one) for one in report.hold_out_percents)
    if report.sample_ratio is None:
        if len(report.hold_out_percents) > 1:
            yield words["ratio_changed"].format(percents=percents)
    elif report.is_comparable:
        yield words["ratio_good"].format(percent=percents, p=f"{report.sample_ratio:.3f}")
    else:
        yield words["ratio_bad"].format(percent=percents)
    if not exposed.eligible_known:
        yield words["all_asked"]
    if exposed.listed or exposed.erased or exposed.without_text:
        yield words["left_out"].format(listed=exposed.listed, erased=exposed.erased, without_text=exposed.without_text)
    if report.missing:
        yield words["missing"].format(metrics=", ".join(words[f"m_{one}"] for one in report.missing))
    if report.set_aside:
        yield words["set_aside"].format(tables=", ".join(f"{name} {rows:,}" for name, rows in report.set_aside.items()))
    yield words["follow"].format(days=report.follow_days)
    yield words["rule"].format(fewest=FEWEST_EVENTS)


def cost_lines(report: ExperimentReport, words: Mapping[str, str]) -> Iterator[str]:
    """What the hold-out costs."""
    yield f"{report.cost.requests:,} {words['cost_requests']}"
    if report.cost.hours is not None:
        yield f"{report.cost.hours:,.1f} {words['cost_hours']}"


# At the terminal -------------------------------------------------------------------------------------------------


def terminal_tables(report: ExperimentReport, language: str) -> Iterator[Table]:
    """The tables of a report, each at most 80 columns wide."""
    words = WORDS[language]
    people = report_table(words["title"], "", words["held_out"], words["live"])
    for name, counts in ((words["buyers"], report.exposed.units), (words["requests"], report.exposed.requests)):
        people.add_row(name, f"{counts[HOLD_OUT]:,}", f"{counts[LIVE]:,}")
    yield people
    for one in report.metrics:
        yield _metric_table(one, report, words)


def _metric_table(one: MetricReport, report: ExperimentReport, words: Mapping[str, str]) -> Table:
    found = one.all
    table = report_table(words[f"m_{one.id}"], "", words[f"v_{found.verdict}"])
    table.add_row(words["held_out"], number(found.hold_out, one.id))
    table.add_row(words["live"], number(found.live, one.id))
    table.add_row(words["effect"], number(found.effect, one.id, signed=True))
    table.add_row(words["interval"], interval(found.sequential, one.id))
    table.add_row(words["usual"], interval(found.usual, one.id))
    table.add_row(words["smallest"], number(found.smallest_effect, one.id))
    table.add_row(words["days_left"].format(percent=report.smallest_change_percent), days_left(one, words))
    return table


# HTML ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Chart:
    """The interval of each day as a band with the effect as a line, in pixels; `zero` is the height of no effect."""

    band: str
    line: str
    zero: float
    top: float
    bottom: float


def chart(days: Sequence[DayReading]) -> Chart:
    """The chart of a metric's days, as wide as the page allows."""
    shown = [edge for one in days for edge in (one.sequential.lower, one.sequential.upper)]
    top, bottom = max(*shown, 0.0), min(*shown, 0.0)
    height = (top - bottom) or 1.0

    def place(number: int, value: float) -> str:
        x = _WIDTH * number / max(1, len(days) - 1)
        return f"{x:.1f},{_HEIGHT * (top - value) / height:.1f}"

    upper = [place(number, one.sequential.upper) for number, one in enumerate(days)]
    lower = [place(number, one.sequential.lower) for number, one in enumerate(days)]
    line = [place(number, one.effect) for number, one in enumerate(days)]
    return Chart(" ".join([*upper, *reversed(lower)]), " ".join(line), round(_HEIGHT * top / height, 1), top, bottom)


def render_html(report: ExperimentReport, language: str) -> str:
    """One self-contained page with both languages, opened in `language` (zh, en): no script, no font, no picture."""
    return (
        page_environment("jitui.experiment")
        .get_template("experiment.html")
        .render(
            report=report,
            language=language,
            words=WORDS,
            number=number,
            interval=interval,
            days_left=days_left,
            remarks=remarks,
            cost_lines=cost_lines,
            chart=chart,
            size=(_WIDTH, _HEIGHT),
            tone=_tone,
        )
    )


def _tone(found: Comparison) -> str:
    """The class of a verdict: what is certain stands out, in colour and in weight."""
    return {"better": "good", "worse": "bad", "not_comparable": "bad"}.get(found.verdict.value, "")
