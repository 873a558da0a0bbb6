"""A tuning's report in words and tables, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich import box
from rich.table import Table

from jitui.money import to_decimal_text
from jitui.tuning.run import TunedSetting, TuneReport


def sentences(report: TuneReport) -> Iterator[str]:
    """What the report says, most important first."""
    own = report.own
    if report.without_losses:
        yield "Nothing is recommended, since the history tells of no losses."
    elif report.recommended is None:
        yield (
            f"No setting keeps to the bounds with {report.bounds.confidence_percent:g} % confidence, the policy's own "
            "included. A longer history, a larger bound or stricter values would help."
        )
    else:
        best = next(one for one in (own, *report.front) if one.values == report.recommended)
        if best.values == own.values:
            yield "The policy's own setting is the loosest that keeps to the bounds."
        else:
            yield f"Recommended: {written(report.recommended)} (now {written(own.values)})."
            yield from _against_own(report, best)
    for name in report.without_effect:
        yield f"{name}: none of its values changes a decision that was learnt from."
    yield (
        f"Learnt from {report.learnt:,} requests before {report.learn_before:%Y-%m-%d}, judged by {report.judged:,} "
        f"from then on, of other buyers; {report.settings:,} settings tried."
    )


def _against_own(report: TuneReport, best: TunedSetting) -> Iterator[str]:
    gained, loss = best.judged.share_gained, best.judged.loss_gained
    level = _level(report)
    yield (
        f"Refunded at once: {_percent(best.judged.share_instant.value)} of the requests instead of "
        f"{_percent(report.own.judged.share_instant.value)}, a difference of {_points(gained.value)} points "
        f"({level}: {_points(gained.low)} to {_points(gained.high)})."
    )
    amounts = [_amount(1000 * one, report.currency) for one in (loss.value, loss.low, loss.high)]
    yield f"Loss of 1,000 requests: {amounts[0]} more ({level}: {amounts[1]} to {amounts[2]})."


def terminal_tables(report: TuneReport) -> Iterator[Table]:
    """The policy's own setting and those found, strict ones first; without losses, no columns about them."""
    losses = not report.without_losses
    capped = any(one.with_caps is not None for one in report.front)
    judged = Table(title="Judged by later requests of other buyers", title_justify="left", box=box.SIMPLE_HEAD)
    judged.padding, judged.pad_edge = (0, 0, 0, 1), False
    judged.add_column("", no_wrap=True)
    for name in report.own.values:
        judged.add_column(name.replace("_", "_\n"), justify="right", no_wrap=True)
    for heading in ("at once\n%", "money*", *(("loss*", "hit\n%", "passes") if losses else ())):
        judged.add_column(heading, justify="right", no_wrap=True)
    if capped:
        judged.add_column("capped\n%", justify="right", no_wrap=True)
    for one in (report.own, *report.front):
        judged.add_row(*_row(report, one, losses=losses, capped=capped))
    judged.caption = " ".join(_caption(report, losses=losses, capped=capped))
    judged.caption_justify = "left"
    yield judged


def _caption(report: TuneReport, *, losses: bool, capped: bool) -> Iterator[str]:
    yield f"* {report.currency} of 1,000 requests."
    if losses:
        yield (
            f"hit: of the buyers refunded at once, at most so many had an incident ({_level(report)}; the bound is "
            f"{report.bounds.incident_percent:g} %)."
        )
    if capped:
        yield "capped: at once in the whole history, with caps replayed in order."


def _row(report: TuneReport, one: TunedSetting, *, losses: bool, capped: bool) -> Iterator[str]:
    judged = one.judged
    yield "now" if one is report.own else "→" if one.values == report.recommended else ""
    for value in one.values.values():
        yield str(value)
    yield f"{judged.share_instant.value * 100:.1f}"
    yield _amount(1000 * judged.money_per_request.value, report.currency)
    if losses:
        yield _amount(1000 * judged.loss_per_request.value, report.currency)
        yield f"{judged.buyers_with_incident_at_most_percent:.2f}"
        yield "yes" if one.passes else "no"
    if capped:
        yield "" if one.with_caps is None else f"{one.with_caps.instant / max(1, one.with_caps.requests) * 100:.1f}"


def _level(report: TuneReport) -> str:
    return f"{report.bounds.confidence_percent:g} %"


def written(values: Mapping[str, int]) -> str:
    """A setting: `limit_minor = 30000, most_days = 3`."""
    return ", ".join(f"{name} = {value}" for name, value in values.items())


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %"


def _points(share: float) -> str:
    return f"{share * 100:+.1f}"


def _amount(minor: float, currency: str) -> str:
    """To whole units: the figures are of a thousand requests."""
    return f"{float(to_decimal_text(round(minor), currency)):,.0f}"
