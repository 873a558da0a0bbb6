"""Tracking numbers from a file: read and checked first, recorded when the merchant says so."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec
from litestar import post
from litestar.datastructures import UploadFile
from litestar.exceptions import ValidationException
from msgspec import Meta, Struct

from jitui.aftersales.commands.bulk_shipments import MOST_ROWS, RowResult, TrackingRow, check_rows, record_rows
from jitui.entrypoints.console.merchant.shipping import code_words, merchant, shipping_page
from jitui.entrypoints.console.page.access import needs
from jitui.entrypoints.console.page.form import Form
from jitui.entrypoints.console.page.visit import ConsoleRequest, Page, Visit, Visiting, show
from jitui.entrypoints.console.ticket.why import shop_name
from jitui.entrypoints.http.fields import Code, Id, NameOrNone
from jitui.errors import BadInput
from jitui.identity.access import Permission
from jitui.importing.tracking_numbers import TrackingFile, read_tracking_numbers


def _(message: str) -> str:
    return message


NOT_A_TABLE = _("The file cannot be read: it needs the columns order_id and tracking_no, as CSV or Excel.")


class CheckedRow(Struct, frozen=True):
    """A row as the page of the check sends it back."""

    order_id: Id
    tracking_no: Code
    carrier: NameOrNone = ""
    happened_at: datetime | None = None


_ROWS = msgspec.json.Decoder(Annotated[list[CheckedRow], Meta(max_length=MOST_ROWS)])


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A cell that cannot be read; `column` is empty where the row has too many or too few cells."""

    line: int
    column: str
    value: str


@post("/shipping/file", opt=needs(Permission.SHIPMENTS_WRITE), status_code=200)
async def check_file(visit: Visiting, request: ConsoleRequest) -> Page:
    """What would become of each row of a file; nothing is recorded."""
    sent = (await request.form()).get("file")
    content = await sent.read() if isinstance(sent, UploadFile) else b""
    if not content:
        return await shipping_page(visit, problem=_("Please choose a file."), status_code=422)
    try:
        read = await asyncio.to_thread(_read, content, visit.service.settings.time_zone)
    except BadInput:
        return await shipping_page(visit, problem=NOT_A_TABLE, status_code=422)
    rows = [row for _, row in read.rows]
    if len(rows) > MOST_ROWS:
        return await shipping_page(visit, problem=_("A file has up to 500 rows."), status_code=422)
    now, shop_id = visit.service.clock(), visit.reader.subject_id
    checked = await check_rows(visit.service.store, rows, by=merchant(visit), now=now, shop_id=shop_id)
    return await _page(visit, checked, rows, unreadable=_unreadable(read))


@post("/shipping/record", opt=needs(Permission.SHIPMENTS_WRITE), status_code=200)
async def record_file(visit: Visiting, data: Form) -> Page:
    """Record what was checked, each row by itself, as the API does."""
    try:
        sent = _ROWS.decode(data.get("rows", ""))
    except msgspec.DecodeError as error:
        raise ValidationException from error
    rows = [TrackingRow(row.order_id, row.tracking_no, row.carrier, happened_at=row.happened_at) for row in sent]
    now, shop_id = visit.service.clock(), visit.reader.subject_id
    return await _page(
        visit, await record_rows(visit.service.store, rows, by=merchant(visit), now=now, shop_id=shop_id)
    )


def _read(content: bytes, zone: ZoneInfo) -> TrackingFile:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "tracking-numbers"
        file.write_bytes(content)
        return read_tracking_numbers(file, {}, zone)


def _unreadable(read: TrackingFile) -> list[Unreadable]:
    return [Unreadable(one.line or one.row, one.column, str(one.value or "")) for one in read.bad]


async def _page(
    visit: Visit,
    results: Sequence[RowResult],
    rows: Sequence[TrackingRow] | None = None,
    *,
    unreadable: Sequence[Unreadable] = (),
) -> Page:
    """The check with its form (`rows`), or what became of the rows."""
    good = [] if rows is None else [row for row, one in zip(rows, results, strict=True) if not one.code]
    kept = [CheckedRow(row.order_id, row.tracking_no, row.carrier, row.happened_at) for row in good]
    return show(
        visit,
        "merchant/shipping_file.html",
        checked=rows is not None,
        results=results,
        refused=sum(bool(one.code) for one in results),
        unreadable=unreadable,
        code_words=code_words(visit, results),
        rows=msgspec.json.encode(kept).decode(),
        count=len(kept),
        shop=await shop_name(visit, visit.reader.subject_id),
    )
