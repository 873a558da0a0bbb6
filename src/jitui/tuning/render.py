"""A tuning's report in words and tables, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.table import Table

from jitui.money import to_decimal_text
from jitui.tuning.run import WITHOUT_LOSSES, TunedSetting, TuneReport


def sentences(report: TuneReport) -> Iterator[str]:
    """What the report says, most important first."""
    own = report.own
    if report.without_losses:
        yield WITHOUT_LOSSES
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
    level = f"{report.bounds.confidence_percent:g} %"
    yield (
        f"Refunded at once: {_percent(best.judged.share_instant.value)} of the requests instead of "
        f"{_percent(report.own.judged.share_instant.value)}, a difference of {_points(gained.value)} points "
        f"({level}: {_points(gained.low)} to {_points(gained.high)})."
    )
    amounts = [_amount(1000 * one, report.currency) for one in (loss.value, loss.low, loss.high)]
    yield f"Loss of 1,000 requests: {amounts[0]} more ({level}: {amounts[1]} to {amounts[2]})."


def terminal_tables(report: TuneReport) -> Iterator[Table]:
    """The settings, strict ones first, and the policy's own."""
    judged = Table(title="Settings, judged by later requests of other buyers", title_justify="left")
    judged.add_column("", no_wrap=True)
    for name in report.own.values:
        judged.add_column(name.replace("_", "_\n"), justify="right")
    for heading in ("at once", "money*", "loss*", "buyers hit", "passes"):
        judged.add_column(heading, justify="right")
    capped = any(one.with_caps is not None for one in report.front)
    if capped:
        judged.add_column("capped", justify="right")
    for one in (report.own, *report.front):
        judged.add_row(*_row(report, one, capped=capped))
    judged.caption = (
        f"* {report.currency} of 1,000 requests. Buyers hit: of the buyers refunded at once, those with an incident at "
        f"most ({report.bounds.confidence_percent:g} %; the bound is {report.bounds.incident_percent:g} %)."
        + (" Capped: at once in the whole history, caps replayed in order." if capped else "")
    )
    judged.caption_justify = "left"
    yield judged


def _row(report: TuneReport, one: TunedSetting, *, capped: bool) -> Iterator[str]:
    judged = one.judged
    yield "now" if one is report.own else "→" if one.values == report.recommended else ""
    for value in one.values.values():
        yield str(value)
    yield _percent(judged.share_instant.value)
    yield _amount(1000 * judged.money_per_request.value, report.currency)
    yield _amount(1000 * judged.loss_per_request.value, report.currency)
    yield f"{judged.buyers_with_incident_at_most_percent:.2f} %"
    yield "yes" if one.passes else "no"
    if capped:
        yield "" if one.with_caps is None else _percent(one.with_caps.instant / max(1, one.with_caps.requests))


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
