"""The page about platforms says what the table of the core says."""

from __future__ import annotations

import tarfile
from pathlib import Path

from hatchling.builders.sdist import SdistBuilder

from jitui.adapters.platforms.kuaishou.requests import NAME as KUAISHOU
from jitui.adapters.platforms.medusa.mapping import NAME as MEDUSA
from jitui.adapters.platforms.saleor.orders import NAME as SALEOR
from jitui.adapters.platforms.shopify.orders import NAME as SHOPIFY
from jitui.adapters.platforms.vendure.orders import NAME as VENDURE
from jitui.adapters.platforms.woocommerce.orders import NAME as WOOCOMMERCE
from jitui.aftersales.platform import PLATFORMS, tried_for_real

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "platforms.md"
HEAD = "| platform | tried | who takes the request | hold | look-up | key | cancelling | changes | limits |"


def table() -> str:
    """The table of the page."""
    rows = [HEAD, "|" + "---|" * 9]
    for one in PLATFORMS:
        cells = (one.title, tried_for_real(one), one.request, one.holds, one.looks_up, one.key, one.cancels)
        rows.append("| " + " | ".join((*cells, one.changes, one.limits)) + " |")
    return "\n".join(rows)


def test_the_page_has_the_table() -> None:
    assert table() in PAGE.read_text(), f"{PAGE.name} must have this table:\n{table()}"


def test_what_has_an_adapter_and_what_was_tried() -> None:
    assert [one.name for one in PLATFORMS if one.adapter] == [VENDURE, MEDUSA, WOOCOMMERCE, SALEOR, SHOPIFY, KUAISHOU]
    assert [one.name for one in PLATFORMS if one.tried] == [VENDURE, MEDUSA]


def test_what_starts_a_platform_is_in_no_release(tmp_path: Path) -> None:
    """What imports Vendure is under the GPL; an sdist has the other tests."""
    (built,) = SdistBuilder(str(ROOT)).build(directory=str(tmp_path))
    with tarfile.open(built) as sdist:
        names = sdist.getnames()
    for platform in ("medusa", "vendure"):
        assert any(name.endswith(f"tests/platforms/{platform}/shop.py") for name in names)
    assert [name for name in names if "/tests/platforms/" in name and not name.endswith(".py")] == []
