"""`jitui platform link`: the link of an order that is known, and a sentence about any other."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest

from jitui.bootstrap import utc_now
from tests.aftersales.market import open_market
from tests.cli.conftest import Jitui


@pytest.fixture
def order(database_url: str) -> str:
    async def prepare() -> None:
        async with open_market(database_url) as market:
            await market.paid_order("b-1", "o-1")

    asyncio.run(prepare())
    return "o-1"


def test_a_link_is_printed(jitui: Jitui, order: str) -> None:
    done = jitui("platform", "link", order, "--hours", "2")
    assert done.code == 0, done.err
    query = dict(parse_qsl(urlsplit(done.out.strip()).query))
    assert query["order"] == order
    assert abs(int(query["exp"]) - (utc_now() + timedelta(hours=2)).timestamp()) < 60
    assert (
        jitui("platform", "link", order, "--json").json["url"].startswith("http://127.0.0.1:8000/shop/link?order=o-1")
    )


def test_an_order_that_is_nowhere(jitui: Jitui) -> None:
    done = jitui("platform", "link", "o-\x1b[31m")
    assert done.code != 0
    assert "There is no order" in done.err
    assert "\x1b" not in done.err
