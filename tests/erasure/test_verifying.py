"""What is left of an erased buyer's decisions still holds; what cannot be checked any more is counted, not guessed."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg
import pytest
from psycopg.types.json import Jsonb

from jitui.adapters.postgres.history import export_history
from jitui.backtest.logged import Verification
from tests.aftersales.market import TIME_ZONE, open_market
from tests.backtest.awkward_market import FIRST, play
from tests.backtest.test_own_history import verified
from tests.erasure.life import erased, rows

ALL_OVER = (
    "UPDATE refund SET state = 'succeeded', due_at = NULL",
    "UPDATE ticket SET state = 'refunded' WHERE state IN ('refunding', 'refund_failed')",
    "UPDATE ticket SET state = 'withdrawn' WHERE state = 'awaiting_merchant'",
    "UPDATE task SET state = 'resolved', resolved_at = now(), resolved_by = 'li', note = 'n'",
    "UPDATE incident SET state = 'settled'",
    "UPDATE dispute SET state = 'won', closed_at = now()",
)


WITHOUT_TEXTS = """
SELECT t.buyer_id FROM ticket t JOIN decision d USING (lane, ticket_id)
GROUP BY 1 HAVING count(*) > 1 AND NOT bool_or(d.facts ? 'buyer.tier') ORDER BY 1 LIMIT 1
"""


def verify(database_url: str, folder: Path) -> Verification:
    return verified(export_history(database_url, folder / "own", ZoneInfo(TIME_ZONE)), folder / "work")


async def test_decisions_of_erased_buyers_hold_and_their_features_are_left_out(
    database_url: str, tmp_path: Path
) -> None:
    async with open_market(database_url) as market:
        day = await play(market, requests=80, seed=7)
        with psycopg.connect(database_url) as connection:
            for statement in ALL_OVER:
                connection.execute(statement.encode())
        ((buyer, asked),) = rows(
            database_url, "SELECT buyer_id, count(*) FROM ticket GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1"
        )
        before = verify(database_url, tmp_path / "before")
        assert (before.holds, before.erased, before.undecidable) == (True, 0, 0)
        await erased(market, buyer)
    after = verify(database_url, tmp_path / "after")
    assert after.examples == ()
    assert (after.holds, after.decisions, after.erased) == (True, day.asked, asked)
    assert after.features_compared == (day.asked - asked) * len(FIRST.features)
    assert asked > 1


@pytest.mark.parametrize("document", ["facts", "decision"])
async def test_one_that_lacks_a_text_is_counted_and_one_that_was_tampered_with_is_still_found(
    database_url: str, tmp_path: Path, document: str
) -> None:
    async with open_market(database_url) as market:
        await play(market, requests=30, seed=3)
        with psycopg.connect(database_url) as connection:
            for statement in ALL_OVER:
                connection.execute(statement.encode())
        ((buyer,),) = rows(database_url, WITHOUT_TEXTS)
        with psycopg.connect(database_url) as connection:
            first = "SELECT min(ticket_id::text)::uuid FROM ticket WHERE buyer_id = %s"
            planted = f"UPDATE decision SET facts = facts || %s WHERE ticket_id = ({first})"
            connection.execute(planted.encode(), [Jsonb({"buyer.tier": "gold"}), buyer])
        await erased(market, buyer)
    found = verify(database_url, tmp_path / "whole")
    assert (found.holds, found.undecidable) == (True, 1)
    with psycopg.connect(database_url) as connection:
        changed = {
            "facts": "facts = facts || '{\"order.freight_minor\": 1}', outcome = 'instant'",
            "decision": "decision = jsonb_set(decision, '{conditions,0,verdict}', '\"true or so\"')",
        }[document]
        connection.execute(
            f"UPDATE decision SET {changed} WHERE ticket_id IN (SELECT t.ticket_id FROM ticket t JOIN buyer b "
            "USING (lane, buyer_id) WHERE b.erased) AND NOT decision ? 'erased'".encode()
        )
    assert not verify(database_url, tmp_path / "tampered").holds
