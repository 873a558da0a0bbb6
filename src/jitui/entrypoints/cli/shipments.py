"""`jitui shipments`: shipping risks, tracking numbers from a file, and the answer to a stop-ship."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jitui.entrypoints.cli.exits import FAILED
from jitui.entrypoints.cli.file_options import Columns, TimeZone
from jitui.entrypoints.cli.main import new_typer
from jitui.entrypoints.cli.output import Json, echo, print_json, say

if TYPE_CHECKING:
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from jitui.aftersales.commands.bulk_shipments import RowResult, TrackingRow
    from jitui.aftersales.commands.stop_ship import StopShipAnswer
    from jitui.aftersales.ports import TicketRef
    from jitui.aftersales.shipping_risks import RiskFilter, ShippingRisk
    from jitui.bootstrap import Service
    from jitui.client import Client
    from jitui.importing.tracking_numbers import TrackingFile

shipments = new_typer("Shipping risks, tracking numbers from a file, answers to stop-ships.")

_Shop = Annotated[str | None, typer.Option(help="Of one shop.", show_default=False)]
_By = Annotated[str, typer.Option(help="Who does this; over HTTP the key says it.", show_default=False)]


# Risks -------------------------------------------------------------------------------------------------------------


@shipments.command()
def risks(
    shop: _Shop = None,
    kind: Annotated[
        str | None, typer.Option(help="One kind, such as label_not_handed_over.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, oldest first.")] = 50,
    as_json: Json = False,
) -> None:
    """Where a shop can lose goods and money before a parcel is on its way, oldest first."""
    from jitui.aftersales.shipping_risks import RiskFilter, RiskKind
    from jitui.entrypoints.cli.running import on_service
    from jitui.entrypoints.cli.words import word_of

    kinds = tuple(RiskKind) if kind is None else (word_of(kind, tuple(RiskKind), "the kind"),)
    wanted = RiskFilter(shop, kinds, limit=limit)

    async def work(service: Service) -> tuple[Sequence[ShippingRisk], datetime]:
        now = service.clock()
        return await service.shipping_risks.risks(wanted, now), now

    found, now = on_service(work, lambda client: _risks_elsewhere(client, wanted))
    if as_json:
        print_json({"risks": [_document(one) for one in found]})
        return
    for one in found:
        _show(one, now)
    if not found:
        echo("There are no such risks.")


def _risks_elsewhere(client: Client, wanted: RiskFilter) -> tuple[Sequence[ShippingRisk], datetime]:
    from datetime import UTC, datetime

    from jitui.aftersales.shipping_risks import RiskKind, ShippingRisk
    from jitui.client import api
    from jitui.entrypoints.cli.remote import LARGEST_PAGE, our_code, up_to

    one = api.RiskKind(wanted.kinds[0]) if len(wanted.kinds) == 1 else None
    call = api.list_shipping_risks(shop_id=wanted.shop_id, risk=one, limit=min(wanted.limit, LARGEST_PAGE))
    rows = [
        ShippingRisk(
            our_code(RiskKind, row.risk),
            "",
            0,
            row.order_id,
            row.shop_id,
            row.since,
            row.amount.amount_minor,
            row.amount.currency,
            row.carrier,
            row.tracking_no,
            row.ticket_id,
        )
        for row in up_to(client, call, wanted.limit)
    ]
    return rows, datetime.now(UTC)


def _document(risk: ShippingRisk) -> dict[str, object]:
    from jitui.aftersales.shipping_risks import WHAT_TO_DO

    names = ("risk", "order_id", "shop_id", "since", "amount_minor", "currency", "carrier", "tracking_no", "ticket_id")
    return {**{name: getattr(risk, name) for name in names}, "what_to_do": WHAT_TO_DO[risk.risk]}


def _show(risk: ShippingRisk, now: datetime) -> None:
    from jitui.aftersales.shipping_risks import WHAT_TO_DO
    from jitui.entrypoints.cli.speaking import amount, moment

    hours = (now - risk.since).total_seconds() / 3600
    age = f"{hours:.0f} h ago" if hours >= 0 else f"in {-hours:.0f} h"
    parcel = f", {risk.carrier} {risk.tracking_no}" if risk.tracking_no is not None else ""
    echo(f"{risk.risk}  order {risk.order_id}, shop {risk.shop_id}{parcel}")
    echo(f"  {amount(risk.amount_minor, risk.currency)}; {moment(risk.since)} ({age}). {WHAT_TO_DO[risk.risk]}")


# Tracking numbers --------------------------------------------------------------------------------------------------


@shipments.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV, Parquet or Excel.", show_default=False)],
    columns: Columns = None,
    shop: Annotated[str | None, typer.Option(help="Refuse the orders of other shops.", show_default=False)] = None,
    by: _By = "",
    check: Annotated[bool, typer.Option("--check", help="Record nothing; show which rows cannot be read.")] = False,
    encoding: Annotated[str | None, typer.Option(help="Of a CSV file; UTF-8, else GB 18030 (GBK).")] = None,
    time_zone: TimeZone = None,
    as_json: Json = False,
) -> None:
    """Record the tracking numbers of a file: order_id, tracking_no, and, where known, carrier and happened_at.

    Each row is done, unchanged because it is known, or refused; the others are done. Importing it again changes
    nothing. Exit code 1 when a row was refused or cannot be read.
    """
    from jitui.importing.tracking_numbers import ENCODINGS, read_tracking_numbers
    from jitui.tabular.batches import ReadOptions
    from jitui.tabular.mapping import pairs

    reading = ReadOptions((encoding,) if encoding else ENCODINGS)
    read = read_tracking_numbers(file, pairs(columns or [], "--map", "THEIRS=OURS"), _zone(time_zone), reading)
    rows = [row for _, row in read.rows]
    results = [] if check or not rows else _record(rows, shop, by)
    if as_json:
        bad = [{"row": one.row, "line": one.line, "field": one.field, "reason": one.reason} for one in read.bad]
        print_json({"rows": len(rows) + _unread(read), "bad": bad, "checked_only": check, "results": results})
    else:
        _report(read, results, check=check)
    if read.bad or any(one.code for one in results):
        raise typer.Exit(FAILED)


def _unread(read: TrackingFile) -> int:
    return len({one.row for one in read.bad})


def _report(read: TrackingFile, results: Sequence[RowResult], *, check: bool) -> None:
    for bad in read.bad:
        say(str(bad))
    for (row, _), one in zip(read.rows, results, strict=False):
        if one.code:
            place = f"{row.file}:{row.line}" if row.line else f"{row.file}: row {row.number}"
            say(f"{place}, order {one.order_id}: {one.detail} ({one.code})")
    unread = f"; {_unread(read)} cannot be read" if read.bad else ""
    if check:
        echo(f"{len(read.rows)} rows can be recorded{unread}. Nothing was recorded (--check).")
        return
    count = Counter(one.outcome.value for one in results)
    done = ", ".join(f"{count[word]} {word}" for word in ("done", "unchanged", "refused"))
    echo(f"{done}{unread}.")


def _zone(name: str | None) -> ZoneInfo | None:
    from jitui.errors import BadInput
    from jitui.time_zones import named_zone

    zone = None if name is None else named_zone(name)
    if name is not None and zone is None:
        raise BadInput(f"{name!r} is not a zone of the IANA database, such as Asia/Shanghai.", path="--time-zone")
    return zone


def _record(rows: Sequence[TrackingRow], shop: str | None, by: str) -> list[RowResult]:
    from jitui.aftersales.commands.bulk_shipments import record_rows
    from jitui.aftersales.model.ticket import Actor, ActorKind
    from jitui.entrypoints.cli.running import on_service

    async def work(service: Service) -> list[RowResult]:
        actor = Actor(ActorKind.OPERATOR, by or "command line")
        return await record_rows(service.store, rows, by=actor, now=service.clock(), shop_id=shop)

    return on_service(work, lambda client: _record_elsewhere(client, rows, shop, by))


def _record_elsewhere(client: Client, rows: Sequence[TrackingRow], shop: str | None, by: str) -> list[RowResult]:
    from jitui.aftersales.commands.bulk_shipments import MOST_ROWS, RowOutcome, RowResult
    from jitui.client import api
    from jitui.entrypoints.cli.remote import only_by_key, our_code
    from jitui.errors import BadInput

    only_by_key(by)
    if shop is not None:
        raise BadInput("Over HTTP the API key says whose orders these are; leave --shop out.", path="--shop")
    found = []
    for begin in range(0, len(rows), MOST_ROWS):
        sent = [
            api.BulkShipmentRow(
                order_id=row.order_id,
                tracking_no=row.tracking_no,
                carrier=row.carrier or None,
                happened_at=row.happened_at,
            )
            for row in rows[begin : begin + MOST_ROWS]
        ]
        told = client.send(api.record_shipments(api.BulkShipmentsSent(rows=sent)))
        found += [
            RowResult(one.order_id, one.tracking_no, our_code(RowOutcome, one.outcome), one.code, one.detail, one.path)
            for one in told.results
        ]
    return found


# Stop-ships --------------------------------------------------------------------------------------------------------


@shipments.command()
def acknowledge(
    ticket: Annotated[str, typer.Argument(metavar="TICKET", help="The ticket's id.", show_default=False)],
    outcome: Annotated[str, typer.Argument(help="held, or already_gone.", show_default=False)],
    tracking_no: Annotated[str, typer.Option("--tracking-no", help="Of goods that are gone.")] = "",
    carrier: Annotated[str, typer.Option(help="Of goods that are gone.")] = "",
    person: Annotated[str, typer.Option(help="Who says it at the warehouse.")] = "",
    by: _By = "",
) -> None:
    """Answer a stop-ship: the warehouse holds the goods, or they had left already.

    Where the refund waits for the answer, `held` in time may approve it.
    """
    from jitui.aftersales.commands.stop_ship import StopShipAnswer, StopShipOutcome
    from jitui.entrypoints.cli.words import word_of
    from jitui.errors import BadInput

    said = StopShipAnswer(word_of(outcome, tuple(StopShipOutcome), "the outcome"), tracking_no, carrier, None, person)
    if (said.outcome is StopShipOutcome.ALREADY_GONE) != bool(tracking_no):
        raise BadInput("Goods that are gone have a --tracking-no, and goods that are held have none.", path="outcome")
    _answer(_ref(ticket), said, by)
    echo("It stands on the ticket.")


def _ref(text: str) -> TicketRef:
    from uuid import UUID

    from jitui.aftersales.ports import TicketRef
    from jitui.errors import BadInput
    from jitui.ids import lane_of_id

    try:
        ticket_id = UUID(text)
    except ValueError:
        raise BadInput(f"{text!r} is not a ticket's id (a UUID).", path="ticket") from None
    return TicketRef(lane_of_id(ticket_id), ticket_id)


def _answer(ref: TicketRef, said: StopShipAnswer, by: str) -> None:
    from jitui.aftersales.commands.stop_ship import acknowledge_stop_ship
    from jitui.aftersales.model.ticket import Actor, ActorKind
    from jitui.aftersales.outcomes import Refusal
    from jitui.entrypoints.cli.running import on_service

    async def work(service: Service) -> str:
        actor = Actor(ActorKind.OPERATOR, by or "command line")
        settings = service.decision_settings
        done = await acknowledge_stop_ship(service.store, settings, ref, said, by=actor, now=service.clock())
        return done.message if isinstance(done, Refusal) else ""

    refused = on_service(work, lambda client: _answer_elsewhere(client, ref, said, by))
    if refused:
        say(refused)
        raise typer.Exit(FAILED)


def _answer_elsewhere(client: Client, ref: TicketRef, said: StopShipAnswer, by: str) -> str:
    from jitui.client import api
    from jitui.entrypoints.cli.remote import only_by_key

    only_by_key(by)
    sent = api.StopShipSent(
        outcome=api.StopShipOutcome(said.outcome),
        tracking_no=said.tracking_no or None,
        carrier=said.carrier or None,
        person=said.person or None,
    )
    client.send(api.acknowledge_a_stop_ship(ref.ticket_id, sent))
    return ""
