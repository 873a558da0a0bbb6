"""`jitui benefit`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from jitui.entrypoints.cli.output import Json, echo, print_json

if TYPE_CHECKING:
    from jitui.aftersales.queries import Benefit, DisputeRate, TimeInterval
    from jitui.bootstrap import Service


def benefit(
    shop: Annotated[str | None, typer.Option(help="Of one shop; else of all together.", show_default=False)] = None,
    days: Annotated[int, typer.Option(min=1, max=3_650, help="Of so many days until now.")] = 30,
    as_json: Json = False,
) -> None:
    """What the service did: requests that nobody touched, minutes saved, times to the refund, disputes."""
    from datetime import timedelta

    from jitui.entrypoints.cli.running import with_app

    async def work(service: Service) -> tuple[Benefit, DisputeRate, int]:
        since = service.clock() - timedelta(days=days)
        found = await service.queries.benefit(shop_id=shop, since=since)
        rate = await service.queries.dispute_rate(shop_id=shop, since=since)
        return found, rate, service.settings.review_minutes

    found, rate, minutes = with_app(work)
    saved = found.instant * minutes
    if as_json:
        print_json(
            {
                "benefit": found,
                "review_minutes": minutes,
                "minutes_saved": saved,
                "disputes": rate,
                "disputes_per_1000_orders": rate.per_1000_orders,
            }
        )
        return
    echo(f"{found.requests} requests in {days} days; {found.instant} decided at once, which nobody touched")
    echo(f"{saved} minutes saved: {found.instant} times {minutes} minutes for a review (JITUI_REVIEW_MINUTES)")
    echo("time from the request to the refund, at once and reviewed:")
    for place, interval in enumerate(found.times):
        before = found.times[place - 1].below_seconds if place else None
        echo(f"  {_span(before, interval):<28}{interval.instant:>8}{interval.reviewed:>8}")
    per = "no orders" if rate.per_1000_orders is None else f"{rate.per_1000_orders} per 1,000 paid orders"
    echo(f"card disputes before shipment: {rate.disputes} of {rate.orders} orders, {per}")


def _span(before: int | None, interval: TimeInterval) -> str:
    if interval.below_seconds is None:
        return f"{_time(before or 0)} and longer"
    return f"under {_time(interval.below_seconds)}"


def _time(seconds: int) -> str:
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= size:
            count = seconds // size
            return f"{count} {unit if count > 1 else unit.removesuffix('s')}"
    return f"{seconds} seconds"
