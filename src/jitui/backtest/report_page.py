"""The back-test's report as one HTML file: the answer first, then the comparison, charts, and the tables last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

from jitui.backtest import charts
from jitui.backtest.cap_trials import MOST_REQUESTS, CapChange, CapTrial
from jitui.backtest.changes import Segment, Tally
from jitui.backtest.drift import Period
from jitui.backtest.findings import FactGap, Findings
from jitui.backtest.incident_cost import CostRates, expected_cost
from jitui.backtest.page import Chart, chart_library, page_environment, script_data, script_text
from jitui.backtest.report import amounts, band, money, share
from jitui.backtest.run import REALLY_DECIDED, Backtest
from jitui.backtest.summary import Summary
from jitui.backtest.words import WORDS

Words = Mapping[str, str]
_HELPS = {
    "amount": "requests.amount_minor, orders.currency",
    "category": "requests.category_id",
    "tier": "requests.tier",
    "region": "requests.region",
}
_RATE_FACTORS = (0.5, 1.0, 2.0)


@dataclass(frozen=True, slots=True)
class SegmentView:
    """A segment as it is shown: its name, rows with their names, and a chart; `helps` would tell a missing one."""

    name: str
    segment: Segment
    rows: tuple[tuple[str, Tally], ...]
    helps: str


def render_html(done: Backtest, language: str) -> str:
    """One self-contained page with both languages, opened in `language` (zh, en); it reads nothing but itself."""
    assert done.findings is not None
    views = {lang: View(done, done.findings, t) for lang, t in WORDS.items()}
    drawn: dict[str, Chart] = {}
    for lang, view in views.items():
        drawn |= {f"{lang}-{name}": chart for name, chart in view.charts.items()}
    return (
        page_environment("jitui.backtest")
        .get_template("report.html")
        .render(
            done=done,
            found=done.findings,
            language=language,
            words=WORDS,
            views=views,
            drawn=drawn,
            library=chart_library(),
            draw_script=script_text((files("jitui.backtest") / "templates" / "charts.js").read_text(encoding="utf-8")),
            options=script_data({name: chart.option for name, chart in drawn.items()}),
            summaries=[one for one in (done.summary, done.against) if one is not None],
            money=money,
            amounts=amounts,
            share=share,
            band=band,
        )
    )


class View:
    """What the page says in one language; every number comes from the back-test's values."""

    def __init__(self, done: Backtest, found: Findings, t: Words) -> None:
        self.done, self.found, self.t = done, found, t
        self.currency = done.summary.currency
        self.total = found.changes.total
        self.names = _names(done, found, t)
        self.segments = [self._segment(one) for one in found.changes.segments]
        self.charts = dict(self._charts()) if self.total.requests else {}

    # Before any number ---------------------------------------------------------------------------------------

    def gaps(self) -> Iterator[str]:
        """What the history does not tell, a sentence for each matter."""
        t, requests = self.t, self.done.summary.requests
        alike: dict[tuple[str, str, int], list[FactGap]] = {}
        for gap in self.found.gaps:
            key = "gap_assumed" if gap.assumed else "gap_all" if gap.unknown == requests else "gap_some"
            alike.setdefault((key, "" if gap.assumed else gap.helps, gap.unknown), []).append(gap)
        for (key, _, unknown), gaps in alike.items():
            facts, helps = ", ".join(one.fact for one in gaps), ", ".join(dict.fromkeys(one.helps for one in gaps))
            yield t[key].format(fact=facts, helps=helps, unknown=f"{unknown:,}", requests=f"{requests:,}")
        for view in self.segments:
            if not view.segment.is_known:
                yield t["gap_segment"].format(segment=view.name, helps=view.helps)
        if self.done.summary.without_amount:
            number = f"{self.done.summary.without_amount:,}"
            yield t["gap_amount"].format(number=number, currency=self.currency)
        losses = self.found.losses
        if not losses.known:
            yield t["gap_losses"]
        elif not losses.incidents:
            yield t["gap_no_incident"]
        if self.done.prepared.set_aside:
            tables = ", ".join(dict.fromkeys(one.table for one in self.done.prepared.set_aside))
            yield t["gap_aside"].format(tables=tables)

    def has_unknown(self) -> bool:
        """Whether a fact is unknown for any request, and not merely taken to be an ordinary one."""
        return any(not gap.assumed for gap in self.found.gaps)

    # The answer ----------------------------------------------------------------------------------------------

    def answer(self) -> Iterator[str]:
        """How much more at once, at what loss, who gains and who loses."""
        t, total, found = self.t, self.total, self.found
        more, more_minor = total.after - total.before, total.after_minor - total.before_minor
        said = {
            "before": self.names[0],
            "after": self.names[1],
            "before_share": share(total.before, total.requests),
            "after_share": share(total.after, total.requests),
            "requests": f"{total.requests:,}",
            "currency": self.currency,
        }
        if found.changes.compared_with is None:
            yield t["answer_alone"].format(**said, amount=self.money(total.after_minor))
        elif more * more_minor > 0:
            key = "answer_more" if more > 0 else "answer_fewer"
            yield t[key].format(**said, count=f"{abs(more):,}", amount=self.money(abs(more_minor)))
        elif more or more_minor:
            yield t["answer_mixed"].format(**said, count=f"{more:+,}" if more else "0", amount=self.signed(more_minor))
        else:
            yield t["answer_same"].format(**said)
        costs = {
            "cost": self.money(found.cost_after.cost_minor),
            "cost_before": self.money(found.cost_before.cost_minor),
        }
        yield t["answer_loss"].format(**said, **costs, **self.rates())
        yield t["answer_who"].format(
            gained=f"{total.gained:,}",
            gaining=f"{total.gaining_buyers:,}",
            lost=f"{total.lost:,}",
            losing=f"{total.losing_buyers:,}",
        )
        if found.changes.left_out:
            yield t["left_out"].format(number=f"{found.changes.left_out:,}")

    def rates(self) -> dict[str, str]:
        """The owner's rates as they are shown."""
        rates = self.found.rates
        return {
            "incident_percent": f"{rates.incident_percent:g}",
            "cost_percent": f"{rates.incident_cost_percent:g}",
            "minutes": f"{rates.review_minutes:g}",
        }

    def four_ways(self) -> Iterator[tuple[str, int, int]]:
        """The four combinations: what it means, requests, amount."""
        cells = {(cell.here, cell.there): cell for cell in self.done.comparison.cells} if self.done.comparison else {}
        total = self.total
        yield self.t["gain"], total.gained, total.gained_minor
        yield self.t["lose"], total.lost, total.lost_minor
        yield self.t["both_instant"], total.after - total.gained, total.after_minor - total.gained_minor
        both = cells.get(("review", "review"))
        asked_minor = self.done.summary.requested_minor - self.done.summary.instant_minor
        yield (
            self.t["both_review"],
            total.requests - total.after - total.lost,
            asked_minor if both is None else both.amount_minor,
        )

    def winners(self) -> Iterator[tuple[str, str, str]]:
        """For each segment the value that gains most and the one that loses most, gains less losses, in requests."""
        for view in self.segments:
            if view.segment.is_known:
                named = view.rows[: len(view.segment.rows)]  # the others together are nobody in particular
                net = [(row.gained - row.lost, name) for name, row in named]
                most, least = max(net, key=lambda one: one[0]), min(net, key=lambda one: one[0])
                yield view.name, self._who(most[1], most[0]), self._who(least[1], -least[0])

    def _who(self, name: str, count: int) -> str:
        return f"{name} ({count:,})" if count > 0 else self.t["nobody"]

    # Segments, cost, time, caps ------------------------------------------------------------------------------

    def _segment(self, one: Segment) -> SegmentView:
        name = self.t[f"s_{one.name}"] if one.is_built_in else one.name
        rows = [(self._value(one, row.name), row) for row in one.rows]
        if one.others is not None:
            number = f"{one.values - len(one.rows):,}"
            rows.append((self.t["others"].format(number=number), one.others))
        return SegmentView(name, one, tuple(rows), _HELPS.get(one.name, "") if one.is_built_in else one.source)

    def _value(self, one: Segment, name: str) -> str:
        if not name:
            return self.t["unknown_value"]
        return band(name, self.currency) if one.is_money else name

    def costs(self) -> list[tuple[str, float, int, int]]:
        """The rate of incidents as text, the incidents expected after, and the cost before and after."""
        rates, total = self.found.rates, self.total
        rows = []
        for factor in _RATE_FACTORS:
            changed = CostRates(min(100.0, rates.incident_percent * factor), rates.incident_cost_percent)
            before = expected_cost(total.before, total.before_minor, changed)
            after = expected_cost(total.after, total.after_minor, changed)
            rows.append((f"{changed.incident_percent:g} %", after.incidents, before.cost_minor, after.cost_minor))
        return rows

    def recorded(self) -> str:
        """What the history itself has on record about losses, or what is missing for it."""
        losses = self.found.losses
        if not losses.known or not losses.incidents:
            return self.t["gap_no_incident" if losses.known else "gap_losses"]
        return self.t["cost_recorded"].format(
            after=f"{losses.after:,}",
            after_amount=self.money(losses.after_minor),
            share=share(losses.after, self.total.after),
            before=self.names[0],
            before_count=f"{losses.before:,}",
            before_amount=self.money(losses.before_minor),
            currency=self.currency,
        )

    def conditions(self) -> list[str]:
        """The conditions of the table over time."""
        return charts.conditions_shown(self.found.drift.periods)

    def stopped(self, period: Period) -> list[str]:
        """The shares of a period's requests that these conditions stopped."""
        return [share(period.stopped[one], period.requests) for one in self.conditions()]

    def caps(self) -> tuple[str, Sequence[CapTrial]]:
        """The sentence about caps, and what other caps would have done."""
        trials, t = self.found.cap_trials, self.t
        if trials.passing is None:
            return t["caps_not_replayed"], ()
        if trials.too_many:
            return t["caps_too_many"].format(number=f"{trials.passing:,}", most=f"{MOST_REQUESTS:,}"), ()
        if not trials.trials:
            return t["caps_none"], ()
        return t["caps_only"].format(number=f"{trials.passing - self.done.summary.instant:,}"), trials.trials

    def changed_cap(self, trial: CapTrial) -> str:
        """`half: 2, 250.00 CNY`."""
        cap = trial.cap
        limits = [] if cap is None or cap.count is None else [f"{cap.count:,}"]
        if cap is not None and cap.amount_minor is not None:
            limits.append(f"{self.money(cap.amount_minor)} {self.currency}")
        word = self.t[f"cap_{CapChange(trial.change)}"]
        return f"{word}: {', '.join(limits)}" if limits else word

    # Details -------------------------------------------------------------------------------------------------

    def at(self, moment: str) -> str:
        """A moment in UTC as it is shown: in the time zone of the days, with its offset."""
        local = datetime.fromisoformat(moment).replace(tzinfo=UTC).astimezone(ZoneInfo(self.found.time_zone))
        offset = f"{local:%z}"
        return f"{local:%Y-%m-%d %H:%M:%S} {offset[:3]}:{offset[3:]}"

    def side(self, name: str) -> str:
        """The name of a side of the comparison."""
        return self.t["really_decided"] if name == REALLY_DECIDED else name

    def groupings(self, summary: Summary) -> Iterator[tuple[str, Sequence[Any]]]:
        """The tables of one policy that have no comparison."""
        if len(summary.by_waiting) > 1:
            yield self.t["by_waiting"], summary.by_waiting

    def money(self, amount_minor: int) -> str:
        """An amount in the policy's currency."""
        return money(amount_minor, self.currency)

    def signed(self, amount_minor: int) -> str:
        """An amount with its sign."""
        return f"{'-' if amount_minor < 0 else '+'}{self.money(abs(amount_minor))}"

    def change(self, before: int, after: int) -> str:
        """`-1,234.00`: how an amount changes."""
        return self.signed(after - before)

    def _charts(self) -> Iterator[tuple[str, Chart]]:
        found, t, names = self.found, self.t, self.names
        for place, view in enumerate(self.segments):
            if view.segment.is_known:
                yield f"segment-{place}", charts.of_segment(view.rows, found, names, t)
        costs = [(name, before, after) for name, _, before, after in self.costs()]
        yield "cost", charts.of_cost(costs, self.currency, names, t)
        yield "requests", charts.over_time(found.drift, t)
        yield "share", charts.share_over_time(found.drift, found, names, t)
        if charts.conditions_shown(found.drift.periods):
            yield "conditions", charts.conditions_over_time(found.drift, t)
        if self.caps()[1]:
            yield "caps", charts.of_caps(found, self.done.summary.instant, t)
        for place, summary in enumerate(one for one in (self.done.summary, self.done.against) if one is not None):
            if any(one.stopped for one in summary.obstacles):
                yield f"obstacles-{place}", charts.of_obstacles(summary, t)


def _names(done: Backtest, found: Findings, t: Words) -> tuple[str, str]:
    """The names of before and after."""
    if done.comparison is None:
        return t["everything_reviewed"], f"{done.summary.policy_id} {done.summary.policy_version}"
    before = t["really_decided"] if done.comparison.there == REALLY_DECIDED else done.comparison.there
    return before, done.comparison.here
