"""The report of a back-test at the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from jitui.backtest.changes import Tally
from jitui.backtest.findings import Findings
from jitui.backtest.run import Backtest
from jitui.backtest.summary import Comparison, Group, Summary
from jitui.money import is_currency, to_decimal_text

if TYPE_CHECKING:
    from rich.table import Table

MOST_ROWS = 12
"""The most rows of a list at the terminal; the HTML file has all of them."""


def money(amount_minor: int, currency: str) -> str:
    """`1234567` in CNY as `12,345.67`."""
    whole, _, rest = to_decimal_text(amount_minor, currency).partition(".")
    return f"{int(whole):,}.{rest}" if rest else f"{int(whole):,}"


def share(part: int, whole: int) -> str:
    """A percentage with one decimal; a dash when the whole is zero."""
    return f"{100 * part / whole:.1f} %" if whole else "–"


def band(name: str, currency: str) -> str:
    """`5000-9999` minor units as `50.00–99.99`."""
    if not name:
        return "?"
    lower, _, upper = name.partition("-")
    return f"{money(int(lower), currency)}–{money(int(upper), currency) if upper else ''}"


# At the terminal -------------------------------------------------------------------------------------------------


def terminal_tables(done: Backtest) -> Iterator[Table]:
    """The tables of a back-test, each at most 80 columns wide: the answer first, what was compared next."""
    if not done.summary.requests:
        if done.prepared.set_aside:
            yield _set_aside(done)
        yield _cost(done)
        return
    if done.findings is not None:
        yield from _answer(done, done.findings)
    yield from comparison_tables(done)
    for summary in (done.summary, done.against):
        if summary is not None:
            yield _totals(summary, done)
            yield _obstacles(summary)
    for title, groups in _groupings(done.summary):
        yield _group_table(title, groups, done.summary)
    if done.findings is not None:
        yield from _of_findings(done.findings, done.summary)
    if len(done.summary.by_currency) > 1:
        yield _by_currency(done.summary)
    if done.verification is not None:
        yield _verified(done)
    yield _cost(done)


def comparison_tables(done: Backtest) -> Iterator[Table]:
    """The comparison of two policies, or of a policy with the real decisions, with examples."""
    if done.comparison is not None:
        yield _four_ways(done.comparison, done.summary.currency)
        yield _examples(done.comparison, done.summary.currency)
    if done.prepared.set_aside:
        yield _set_aside(done)


def report_table(title: str, *columns: str) -> Table:
    """An empty table of a report: the first column is text, the others are figures."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place == 0 else "right", overflow="fold")
    return table


def _totals(summary: Summary, done: Backtest) -> Table:
    table = report_table(f"{summary.policy_id}, version {summary.policy_version}", "", "requests", summary.currency)
    currency = summary.currency
    table.add_row("decided", f"{summary.requests:,}", money(summary.requested_minor, currency))
    table.add_row("refunded at once", f"{summary.instant:,}", money(summary.instant_minor, currency))
    table.add_row("share refunded at once", share(summary.instant, summary.requests), "")
    incidents = money(summary.expected_incidents_minor, currency)
    table.add_row("of these already gone, not yet recorded", f"{summary.expected_incidents:,}", incidents)
    table.add_row("held out for comparison", f"{summary.held_out:,}", "")
    if summary.asked_warehouse is not None:
        table.add_row("reviewed until the warehouse holds the goods", f"{summary.asked_warehouse:,}", "")
    if summary.without_amount:
        table.add_row("without an amount", f"{summary.without_amount:,}", "")
    for name, count in summary.caps_reached.items():
        table.add_row(f"over the cap of the {name.split('.')[1].removesuffix('_ok')}", f"{count:,}", "")
    for name, count in summary.restrictions.items():
        table.add_row(f"restriction {name} was true", f"{count:,}", "")
    table.add_row("merchants' minutes saved", f"{summary.minutes_saved:,}", "")
    waited = summary.waited_by_instant
    if waited.median_seconds is not None:
        hours = f"{waited.median_seconds / 3600:.1f} h"
        table.add_row("these buyers really waited, median", hours, "")
    return table


def _obstacles(summary: Summary) -> Table:
    table = report_table("What stopped the others", "condition", "stopped", "unknown", "alone", "first")
    for one in summary.obstacles:
        table.add_row(one.id, f"{one.stopped:,}", f"{one.unknown:,}", f"{one.alone:,}", f"{one.first:,}")
    return table


def _groupings(summary: Summary) -> Iterator[tuple[str, tuple[Group, ...]]]:
    yield "By amount", tuple(_renamed(group, band(group.name, summary.currency)) for group in summary.by_amount)
    if len(summary.by_category) > 1:
        yield "By category", summary.by_category
    if len(summary.by_tier) > 1:
        yield "By buyer tier", summary.by_tier
    if len(summary.by_waiting) > 1:
        yield "By the time that it really took", summary.by_waiting


def _answer(done: Backtest, found: Findings) -> Iterator[Table]:
    """What the history lacks, before any number; then how much more at once, at what loss, and who gains and loses."""
    lacks = report_table("This history does not tell", "", "unknown for", "it would come from")
    for gap in found.gaps:
        lacks.add_row(gap.fact, "taken as usual" if gap.assumed else f"{gap.unknown:,}", gap.helps)
    if not found.losses.incidents:
        lacks.add_row("incidents", "every request", "shipments.recorded_at")
    if lacks.row_count:
        yield lacks
    total, currency = found.changes.total, done.summary.currency
    before = found.changes.compared_with or "everything reviewed"
    table = report_table("In short", "", before, f"{done.summary.policy_id} {done.summary.policy_version}")
    table.add_row("refunded at once", f"{total.before:,}", f"{total.after:,}")
    table.add_row("share", share(total.before, total.requests), share(total.after, total.requests))
    table.add_row(f"money out, {currency}", money(total.before_minor, currency), money(total.after_minor, currency))
    costs = (money(one.cost_minor, currency) for one in (found.cost_before, found.cost_after))
    table.add_row(f"expected loss at {found.rates.incident_percent:g} % incidents", *costs)
    table.add_row("gain an instant refund", "", f"{total.gained:,} of {total.gaining_buyers:,} buyers")
    table.add_row("lose it", "", f"{total.lost:,} of {total.losing_buyers:,} buyers")
    if found.changes.left_out:
        table.add_row("decided on one side only, not counted", f"{found.changes.left_out:,}", "")
    yield table


def _of_findings(found: Findings, summary: Summary) -> Iterator[Table]:
    """The other segments with a value, the last periods, and other caps."""
    for segment in found.changes.segments:
        if segment.is_known and (not segment.is_built_in or segment.name in ("region", "shop")):
            names = [band(row.name, summary.currency) if segment.is_money else row.name for row in segment.rows]
            rows = [*zip(names, segment.rows, strict=True)]
            if segment.others is not None:
                rows.append((f"others ({segment.values - len(names):,})", segment.others))
            yield _tallies(f"By {segment.name}", rows, summary.currency)
    table = report_table(f"By {found.drift.grain}, the last ones", "", "requests", "at once", "share")
    for one in found.drift.periods[-MOST_ROWS:]:
        table.add_row(one.name, f"{one.requests:,}", f"{one.after:,}", share(one.after, one.requests))
    yield table
    if found.cap_trials.passing is not None:
        only = found.cap_trials.passing - summary.instant
        title = f"If one cap were another ({only:,} requests were stopped by caps alone)"
        table = report_table(title, "cap", "changed to", "at once", summary.currency)
        for trial in found.cap_trials.trials:
            amount = money(trial.instant_minor, summary.currency)
            table.add_row(trial.scope, trial.change, f"{trial.instant:,}", amount)
        yield table


def _tallies(title: str, rows: Sequence[tuple[str, Tally]], currency: str) -> Table:
    table = report_table(title, "", "requests", "share", "gain", "lose", f"{currency} at once")
    for name, row in rows:
        counts = (f"{row.requests:,}", share(row.after, row.requests), f"{row.gained:,}", f"{row.lost:,}")
        table.add_row(name or "?", *counts, money(row.after_minor, currency))
    return table


def _renamed(group: Group, name: str) -> Group:
    return Group(name, group.requests, group.instant, group.requested_minor, group.instant_minor)


def _group_table(title: str, groups: Sequence[Group], summary: Summary) -> Table:
    shown = groups[:MOST_ROWS]
    more = f" (the first {MOST_ROWS} of {len(groups)})" if len(groups) > MOST_ROWS else ""
    table = report_table(title + more, "", "requests", "at once", "share", f"{summary.currency} at once")
    for group in shown:
        amount = money(group.instant_minor, summary.currency)
        table.add_row(
            group.name or "?", f"{group.requests:,}", f"{group.instant:,}", share(group.instant, group.requests), amount
        )
    return table


def _by_currency(summary: Summary) -> Table:
    """The amounts in each currency; amounts in different currencies are never added."""
    table = report_table("By currency", "", "requests", "at once", "asked for", "at once")
    for group in summary.by_currency:
        table.add_row(group.name or "?", f"{group.requests:,}", f"{group.instant:,}", *amounts(group))
    return table


def amounts(group: Group) -> tuple[str, str]:
    """The requested and the instantly refunded amount, in the currency that is the group's name."""
    if not is_currency(group.name):
        return "?", "?"
    return money(group.requested_minor, group.name), money(group.instant_minor, group.name)


def _four_ways(comparison: Comparison, currency: str) -> Table:
    table = report_table(
        f"{comparison.here} against {comparison.there}", comparison.here, comparison.there, "requests", currency
    )
    for cell in comparison.cells:
        table.add_row(cell.here, cell.there, f"{cell.requests:,}", money(cell.amount_minor, currency))
    if comparison.missing:
        table.add_row("decided on one side only", "", f"{comparison.missing:,}", "")
    return table


def _examples(comparison: Comparison, currency: str) -> Table:
    table = report_table("Requests that differ, the earliest", "request", "here", "there", currency, "stopped by")
    for cell in comparison.cells:
        for one in cell.examples:
            amount = "?" if one.amount_minor is None else money(one.amount_minor, currency)
            table.add_row(one.request_id, cell.here, cell.there, amount, one.stopped_by or "")
    return table


def _set_aside(done: Backtest) -> Table:
    table = report_table("Rows set aside", "table", "reason", "column", "rows", "for example")
    for one in done.prepared.set_aside:
        table.add_row(one.table, one.reason, one.column, f"{one.rows:,}", one.example[:60])
    if done.prepared.gaps is not None:
        table.add_row("", "moved to review: unknown without these rows", "", f"{done.moved_to_review:,}", "")
    return table


def _verified(done: Backtest) -> Table:
    found = done.verification
    assert found is not None
    table = report_table("Logged decisions replayed", "", "compared", "differ")
    table.add_row("decisions from their stored facts", f"{found.decisions:,}", f"{found.outcomes_differ:,}")
    table.add_row("features from the history", f"{found.features_compared:,}", f"{found.features_differ:,}")
    table.add_row("whose policy text is not at hand", f"{found.other_policies:,}", "")
    if found.erased:
        table.add_row("of erased buyers: features not computed again", f"{found.erased:,}", "")
        table.add_row("of them without a text: not decided again", f"{found.undecidable:,}", "")
    for one in found.examples:
        table.add_row(f"  {one.request_id}: {one.what}", str(one.logged), str(one.replayed))
    return table


def _cost(done: Backtest) -> Table:
    table = report_table("This run", "", "")
    table.add_row("engine", done.engine)
    table.add_row("seconds", f"{done.seconds:,.1f}")
    table.add_row("peak memory, MiB", f"{done.peak_memory_mib:,}")
    table.add_row("the engine's cap, MiB", f"{done.memory_cap_mib:,}")
    return table
