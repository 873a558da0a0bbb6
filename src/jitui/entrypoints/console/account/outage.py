"""In a demo: the payment provider refuses refunds while a visitor wants it to."""

from __future__ import annotations

from litestar import post
from litestar.exceptions import NotFoundException

from jitui.entrypoints.console.page.form import Form
from jitui.entrypoints.console.page.visit import Page, Visiting, go_to


@post("/demo/payments", status_code=303)
async def let_payments_fail(visit: Visiting, data: Form) -> Page:
    """Let payments fail or mend them; outside a demo, and from another machine, there is no such page."""
    if visit.options.outage is None or data.get("fail") not in ("yes", "no"):
        raise NotFoundException
    await visit.options.outage.turn(on=data["fail"] == "yes")
    return go_to("/#payments")


HANDLERS = (let_payments_fail,)
