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
        yield from _none_passes(report)
    else:
        best = next(one for one in (own, *report.front) if one.values == report.recommended)
        if best.values == own.values:
            yield "Of the settings tried, the policy's own is the loosest that keeps to the bounds."
        else:
            yield f"Recommended: {written(report.recommended)} (now {written(own.values)})."
            yield from _against_own(report, best)
        yield from _at_the_edge(report)
    if report.without_amount:
        yield (
            f"{report.without_amount:,} requests have no amount in {report.currency}; money and loss are without them."
        )
    for name in report.without_effect:
        yield f"{name}: none of its values changes a decision that was learnt from."
    yield (
        f"Learnt from {report.learnt:,} requests before {report.learn_before:%Y-%m-%d}, judged by {report.judged:,} "
        f"from then on, of other buyers; {report.settings:,} settings tried."
    )


def _none_passes(report: TuneReport) -> Iterator[str]:
    fewest = report.bounds.fewest_buyers
    buyers = max(one.judged.buyers for one in (report.own, *report.front))
    yield f"No setting keeps to the bounds with {_level(report)} confidence, nor does the policy's own."
    if buyers < fewest:
        yield (
            f"Even without an incident it takes {fewest:,} buyers to show a bound of "
            f"{report.bounds.incident_percent:g} %, and at most {buyers:,} judge. Take a longer history, or a larger "
            "bound."
        )


def _at_the_edge(report: TuneReport) -> Iterator[str]:
    for name, value in (report.recommended or {}).items():
        values = report.tried[name]
        if value in (values[0], values[-1]) and value != report.own.values[name]:
            yield f"{name} = {value} is the {'first' if value == values[0] else 'last'} of its values that was tried."


def _against_own(report: TuneReport, best: TunedSetting) -> Iterator[str]:
    gained, loss = best.judged.share_gained, best.judged.loss_gained
    yield (
        f"Refunded at once: {_percent(best.judged.share_instant.value)} of the requests instead of "
        f"{_percent(report.own.judged.share_instant.value)}, a difference of {_points(gained.value)} points "
        f"({_level(report)}: {_points(gained.low)} to {_points(gained.high)})."
    )
    if loss.low == loss.high == 0:
        yield "Nothing was lost by the requests that are decided otherwise; so few say little about how often that is."
        return
    amounts = [_amount(1000 * one, report.currency) for one in (loss.value, loss.low, loss.high)]
    yield f"Loss of 1,000 requests: {amounts[0]} more ({_level(report)}: {amounts[1]} to {amounts[2]})."


def terminal_tables(report: TuneReport) -> Iterator[Table]:
    """The policy's own setting and those found, strict ones first; without losses, no columns about them."""
    losses = not report.without_losses
    capped = any(one.with_caps is not None for one in report.front)
    judged = Table(title="Judged by later requests of other buyers", title_justify="left", box=box.SIMPLE_HEAD)
    judged.padding, judged.pad_edge = (0, 0, 0, 1), False
    judged.add_column("", no_wrap=True)
    for name in report.own.values:
        judged.add_column(name.replace("_", "_\n"), justify="right", no_wrap=True)
    for heading in ("at once\n%", "money*", *(("loss*", "hit", "at most\n%", "passes") if losses else ())):
        judged.add_column(heading, justify="right", no_wrap=True)
    if losses and report.bounds.loss_percent is not None:
        judged.add_column("lost at\nmost %", justify="right", no_wrap=True)
    if capped:
        judged.add_column("capped\n%", justify="right", no_wrap=True)
    others = (one for one in report.front if one.values != report.own.values)
    for one in (report.own, *others):
        judged.add_row(*_row(report, one, losses=losses, capped=capped))
    judged.caption = " ".join(_caption(report, losses=losses, capped=capped))
    judged.caption_justify = "left"
    yield judged


def _caption(report: TuneReport, *, losses: bool, capped: bool) -> Iterator[str]:
    yield f"* {report.currency} of 1,000 requests."
    if losses:
        yield (
            "hit: buyers with an incident, of the buyers refunded at once, and what their share surely does not exceed "
            f"({_level(report)}; the bound is {report.bounds.incident_percent:g} %). passes: -, where one before it in "
            "the order of the tests did not."
        )
    if losses and report.bounds.loss_percent is not None:
        yield f"lost: of the money refunded at once; the bound is {report.bounds.loss_percent:g} %."
    if capped:
        yield "capped: at once in the whole history, not the later half alone, with caps replayed in order."


def _row(report: TuneReport, one: TunedSetting, *, losses: bool, capped: bool) -> Iterator[str]:
    judged = one.judged
    yield ("now" if one.values == report.own.values else "") + (" →" if one.values == report.recommended else "")
    for value in one.values.values():
        yield str(value)
    yield f"{judged.share_instant.value * 100:.1f}"
    yield _amount(1000 * judged.money_per_request.value, report.currency)
    if losses:
        yield _amount(1000 * judged.loss_per_request.value, report.currency)
        yield f"{judged.buyers_with_incident}/{judged.buyers}"
        yield f"{judged.buyers_with_incident_at_most_percent:.2f}" if judged.buyers else ""
        yield "yes" if one.passes else "-" if judged.holds else "no"
        if report.bounds.loss_percent is not None:
            yield "" if judged.loss_bound_percent is None else f"{judged.loss_bound_percent:.2f}"
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
