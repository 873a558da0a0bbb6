"""A receipt as PDF, with the characters that it uses embedded: the extra `jitui[pdf]`, and a font of the system's.

No font is part of Jitui. One with Chinese characters is looked for by `fc-match`, as the desktop's programs do.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from jitui.errors import NotConfigured
from jitui.notices.receipt_view import CODES, ReceiptView

if TYPE_CHECKING:
    from fpdf import FPDF

FAMILY = "Noto Sans CJK SC"
_SAMPLE = "退款回执"
_LABEL_SHARE = 0.35


@dataclass(frozen=True, slots=True)
class Font:
    """A font file, and which of the fonts in it."""

    path: Path
    index: int = 0


def receipt_pdf(view: ReceiptView, made_at: str) -> bytes:
    """The document, the same bytes for the same receipt. `made_at`: the receipt's own time, with its offset.

    Raises NotConfigured without the library or a font.
    """
    pdf = _document(view, datetime.fromisoformat(made_at))
    pdf.set_font_size(16)
    pdf.multi_cell(0, 10, view.title, new_x="LMARGIN", new_y="NEXT")
    pdf.set_font_size(10)
    _table(pdf, view.rows, (_LABEL_SHARE, 1 - _LABEL_SHARE))
    _heading(pdf, view.label("goods"))
    goods = [(line.item, line.quantity, line.amount) for line in view.lines]
    titles = (view.label("item"), view.label("quantity"), view.label("refunded"))
    _table(pdf, [titles, *goods], (0.6, 0.15, 0.25))
    _heading(pdf, view.label("why"))
    for text in (*(f"• {reason}" for reason in view.reasons), *view.notes):
        pdf.multi_cell(0, 6, text, new_x="LMARGIN", new_y="NEXT")
    pdf.set_font_size(8)
    pdf.multi_cell(0, 6, f"{view.label('sha256')}: {view.sha256}", new_x="LMARGIN", new_y="NEXT")
    return bytes(pdf.output())


@cache
def system_font() -> Font:
    """The system's font for Chinese. Raises NotConfigured, with what to install."""
    found = shutil.which("fc-match")
    if found is None:
        raise NotConfigured("A receipt as PDF needs fontconfig (`fc-match`) and a font such as fonts-noto-cjk.")
    asked = [found, "--format=%{file}\n%{index}\n%{charset}", f"{FAMILY}:lang=zh-cn"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=10)
    file, _, rest = done.stdout.partition("\n")
    index, _, charset = rest.partition("\n")
    if done.returncode or not file or not all(_in(charset, ord(sign)) for sign in _SAMPLE):
        raise NotConfigured("A receipt as PDF needs a font with Chinese characters, such as fonts-noto-cjk.")
    return Font(Path(file), int(index) & 0xFFFF if index.isdigit() else 0)


def _in(charset: str, sign: int) -> bool:
    """Whether fontconfig's list of hexadecimal ranges has a character."""
    for part in charset.split():
        first, _, last = part.partition("-")
        if int(first, 16) <= sign <= int(last or first, 16):
            return True
    return False


def _document(view: ReceiptView, made_at: datetime) -> FPDF:
    try:
        from fpdf import FPDF
    except ImportError:
        raise NotConfigured("A receipt as PDF needs the extra: install `jitui[pdf]`.") from None
    font = system_font()
    pdf = FPDF(format="A4")
    pdf.set_title(view.title)
    pdf.set_lang(CODES[view.language])
    pdf.set_creation_date(made_at)
    pdf.set_margin(20)
    pdf.add_page()
    pdf.add_font("receipt", fname=font.path, collection_font_number=font.index)
    pdf.set_font("receipt", size=10)
    return pdf


def _heading(pdf: FPDF, text: str) -> None:
    pdf.ln(4)
    pdf.set_font_size(12)
    pdf.multi_cell(0, 8, text, new_x="LMARGIN", new_y="NEXT")
    pdf.set_font_size(10)


def _table(pdf: FPDF, rows: Iterable[tuple[str, ...]], shares: tuple[float, ...]) -> None:
    with pdf.table(col_widths=shares, borders_layout="HORIZONTAL_LINES", first_row_as_headings=False) as table:
        for cells in rows:
            row = table.row()
            for cell in cells:
                row.cell(cell)
