"""The charts of a back-test's report, as ECharts' options made of the same values as the tables beneath them.

Values on an axis are shares in percent, numbers of requests, or amounts in the currency's major unit. A gap in a
line is a period without requests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jitui.backtest.cap_trials import CapChange
from jitui.backtest.changes import Tally
from jitui.backtest.drift import Drift, Period
from jitui.backtest.findings import Findings
from jitui.backtest.page import Chart
from jitui.backtest.summary import Summary
from jitui.money import to_decimal_text

MOST_LINES = 6
"""The most conditions with a line of their own in a chart; the table has all."""
_BEFORE, _AFTER, _BACK, _BAD = "#7a8ba6", "#2a9d6f", "#b8c4d6", "#d1495b"
_LINES = ("#2a9d6f", "#d1495b", "#3a86c8", "#c77d0a", "#8d5fc7", "#6b7f2a")

Words = Mapping[str, str]


def percent(part: int, whole: int) -> float | None:
    """A share in percent with one decimal; None, a gap, when the whole is zero."""
    return round(100 * part / whole, 1) if whole else None


def major(amount_minor: int, currency: str) -> float:
    """An amount in the currency's major unit."""
    return float(to_decimal_text(amount_minor, currency))


def _frame(legend: Sequence[str], **further: Any) -> dict[str, Any]:
    grid = {"left": 8, "right": 24, "top": 64, "bottom": 8, "containLabel": True}
    return {
        "color": list(_LINES),
        "tooltip": {"trigger": "axis", "confine": True},
        "legend": {"type": "scroll", "top": 0, "left": 0, "data": list(legend)},
        "grid": grid,
        **further,
    }


def _value_axis(name: str, **further: Any) -> dict[str, Any]:
    place = {"nameLocation": "end", "nameTextStyle": {"align": "left"}}
    return {"type": "value", "name": name, "min": 0, **place, **further}


def _rows(names: Sequence[str], value: str, series: Sequence[tuple[str, str, Sequence[Any]]], **bar: Any) -> Chart:
    """Horizontal bars, the first row at the top, each bar with its value."""
    label = {"show": True, "position": "right", **bar.pop("label", {})}
    option = _frame(
        [name for name, _, _ in series],
        xAxis=_value_axis(value, nameLocation="middle", nameGap=26, **bar.pop("axis", {})),
        yAxis={
            "type": "category",
            "data": list(names),
            "inverse": True,
            "axisLabel": {"width": 120, "overflow": "truncate"},
        },
        series=[
            {"type": "bar", "name": name, "data": list(data), "itemStyle": {"color": colour}, "label": label, **bar}
            for name, colour, data in series
        ],
    )
    option["grid"] = {**option["grid"], "bottom": 32, "right": 56, "top": 36}
    bars = len(names) * (1 if "stack" in bar else len(series))
    return Chart("", 110 + 18 * bars + 8 * len(names), option)


def titled(chart: Chart, title: str) -> Chart:
    """The chart with a heading."""
    return Chart(title, chart.height, chart.option)


def of_segment(rows: Sequence[tuple[str, Tally]], findings: Findings, names: tuple[str, str], t: Words) -> Chart:
    """The shares refunded at once before and after, for each value of a segment."""
    after = (names[1], _AFTER, [percent(one.after, one.requests) for _, one in rows])
    before = (names[0], _BEFORE, [percent(one.before, one.requests) for _, one in rows])
    series = [after] if findings.changes.compared_with is None else [before, after]
    label = {"formatter": "{c} %"}
    chart = _rows([name for name, _ in rows], t["axis_share"], series, label=label)
    return titled(chart, t["share_at_once"])


def over_time(drift: Drift, t: Words) -> Chart:
    """The number of requests, and of those refunded at once, in each period."""
    series = [
        (t["legend_all"], _BACK, [one.requests for one in drift.periods]),
        (t["legend_instant"], _AFTER, [one.after for one in drift.periods]),
    ]
    option = _frame(
        [name for name, _, _ in series],
        xAxis=_time_axis(drift),
        yAxis=_value_axis(t["axis_requests"], minInterval=1),
        series=[
            {"type": "bar", "name": name, "data": data, "itemStyle": {"color": colour}, "barGap": "-100%", "z": place}
            for place, (name, colour, data) in enumerate(series, 2)
        ],
    )
    if any(not one.requests for one in drift.periods):
        marks = [None if one.requests else 0 for one in drift.periods]
        style = {"symbol": "circle", "symbolSize": 5, "showAllSymbol": True, "lineStyle": {"opacity": 0}}
        colour = {"color": _BAD}
        option["series"].append(
            {"type": "line", "name": t["no_requests"], "data": marks, "itemStyle": colour, "z": 5, **style}
        )
        option["legend"]["data"].append(t["no_requests"])
    return Chart(t["by_period"], 300, option)


def share_over_time(drift: Drift, findings: Findings, names: tuple[str, str], t: Words) -> Chart:
    """The share refunded at once in each period, before and after."""
    lines = [(names[1], _AFTER, [percent(one.after, one.requests) for one in drift.periods])]
    if findings.changes.compared_with is not None:
        lines.insert(0, (names[0], _BEFORE, [percent(one.before, one.requests) for one in drift.periods]))
    return Chart(t["share_by_period"], 300, _lines(drift, lines, t["axis_share"]))


def conditions_over_time(drift: Drift, t: Words) -> Chart:
    """The shares of requests that the conditions which stop most did not let pass, in each period."""
    ids = conditions_shown(drift.periods)
    lines = [
        (one, colour, [percent(period.stopped[one], period.requests) for period in drift.periods])
        for one, colour in zip(ids, _LINES, strict=False)
    ]
    return Chart(t["stopped_by_period"], 340, _lines(drift, lines, t["axis_stopped"]))


def conditions_shown(periods: Sequence[Period]) -> list[str]:
    """The conditions that stop most requests over all periods."""
    totals: dict[str, int] = {}
    for period in periods:
        for one, count in period.stopped.items():
            totals[one] = totals.get(one, 0) + count
    ordered = sorted(totals, key=lambda one: -totals[one])
    return [one for one in ordered if totals[one]][:MOST_LINES]


def _lines(drift: Drift, lines: Sequence[tuple[str, str, Sequence[float | None]]], value: str) -> dict[str, Any]:
    return _frame(
        [name for name, _, _ in lines],
        xAxis=_time_axis(drift),
        yAxis=_value_axis(value),
        series=[
            {
                "type": "line",
                "name": name,
                "data": list(data),
                "connectNulls": False,
                "symbolSize": 4 if len(data) <= 40 else 2,
                "showAllSymbol": True,
                "itemStyle": {"color": colour},
                "lineStyle": {"color": colour},
            }
            for name, colour, data in lines
        ],
    )


def _time_axis(drift: Drift) -> dict[str, Any]:
    names = [one.name for one in drift.periods]
    return {"type": "category", "name": "", "data": names, "axisLabel": {"hideOverlap": True}}


def of_obstacles(summary: Summary, t: Words) -> Chart:
    """The requests that each condition stopped: as the first one, and after another one."""
    rows = [one for one in summary.obstacles if one.stopped]
    series = [
        (t["first"], _BAD, [one.first for one in rows]),
        (t["later"], _BACK, [one.stopped - one.first for one in rows]),
    ]
    chart = _rows(
        [one.id for one in rows],
        t["axis_requests"],
        series,
        stack="all",
        label={"show": False},
        axis={"minInterval": 1},
    )
    return titled(chart, t["obstacles"])


def of_caps(findings: Findings, instant: int, t: Words) -> Chart:
    """The instant refunds with one cap halved, as it is, doubled and left out."""
    trials = {(one.scope, one.change): one.instant for one in findings.cap_trials.trials}
    scopes = list(dict.fromkeys(scope for scope, _ in trials))
    series = [
        (t["cap_half"], _LINES[1], [trials[scope, CapChange.HALF] for scope in scopes]),
        (t["cap_as_is"], _BEFORE, [instant for _ in scopes]),
        (t["cap_double"], _LINES[2], [trials[scope, CapChange.DOUBLE] for scope in scopes]),
        (t["cap_none"], _LINES[0], [trials[scope, CapChange.NONE] for scope in scopes]),
    ]
    chart = _rows([t[f"cap_{scope}"] for scope in scopes], t["legend_instant"], series, axis={"minInterval": 1})
    return titled(chart, t["caps_chart"])


def of_cost(costs: Sequence[tuple[str, int, int]], currency: str, names: tuple[str, str], t: Words) -> Chart:
    """The expected cost before and after, at several rates of incidents."""
    series = [
        (names[0], _BEFORE, [major(before, currency) for _, before, _ in costs]),
        (names[1], _BAD, [major(after, currency) for _, _, after in costs]),
    ]
    chart = _rows([name for name, _, _ in costs], currency, series)
    return titled(chart, t["cost_chart"])
