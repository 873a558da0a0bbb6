"""Fills templates: what stands in HTML is escaped, what stands in text is not."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from jitui.notices.receipt_view import CODES, ReceiptView

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def environment() -> Environment:
    """The templates of the package; a name that a template asks for and nobody gives is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("jitui.notices"),
        autoescape=lambda name: name is not None and name.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def receipt_html(view: ReceiptView) -> bytes:
    """A page that stands alone: no script, no style sheet and no picture from elsewhere."""
    page = environment().get_template("receipt.html").render(receipt=view, code=CODES[view.language])
    return page.encode()
