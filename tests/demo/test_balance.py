"""The bound of the merchant's balance that an earlier trial left in the simulator's books."""

from __future__ import annotations

from uuid import uuid4

import psycopg
import pytest

from jitui.demo.balance import ask_again, lift_balances
from jitui.demo.summary import why_not_final
from jitui.errors import Unavailable
from tests.provider_simulator.server import SimulatorProcess, client_of, simulator, start_simulator

__all__ = ["simulator", "start_simulator"]


async def test_every_bound_is_taken_away_and_named(simulator: SimulatorProcess) -> None:
    async with client_of(simulator) as client:
        for currency in ("CNY", "EUR"):
            await client.call("PUT", "/balance", {"currency": currency, "amount_minor": 0})
        assert (await client.refund(await client.pay(100), 100)).code == "insufficient_balance"

        assert await lift_balances(simulator.url, simulator.api_key) == ("CNY", "EUR")
        assert (await client.refund(await client.pay(100), 100)).status == 201
        assert await lift_balances(simulator.url, simulator.api_key) == ()


async def test_a_simulator_that_does_not_do_it_is_unavailable(simulator: SimulatorProcess) -> None:
    with pytest.raises(Unavailable, match="unauthorised"):
        await lift_balances(simulator.url, "wrong")


def test_what_waits_for_a_balance_is_asked_for_at_once_and_nothing_else(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")  # rows of refunds alone, without their orders
        for state, reason, minutes in (
            ("unknown", "insufficient_balance", 10),
            ("unknown", "insufficient_balance", -1),
            ("unknown", "upstream_timeout", 10),
            ("pending", "", 10),
            ("failed", "insufficient_balance", None),
        ):
            connection.execute(
                "INSERT INTO refund (lane, refund_id, ticket_id, order_id, tender_id, provider, payment_id,"
                " amount_minor, captured_minor, currency, state, due_at, reason, queued_at)"
                " VALUES (1, %s, %s, 'o', 't', 'simulator', 'p', 1, 1, 'CNY', %s,"
                " now() + make_interval(mins => %s), %s, now())",
                (uuid4(), uuid4(), state, minutes, reason),
            )
        assert why_not_final(database_url) == "2 unknown: insufficient_balance, 1 pending, 1 unknown: upstream_timeout"
        assert ask_again(database_url) == 1
        later = connection.execute("SELECT reason FROM refund WHERE due_at > now() ORDER BY reason").fetchall()
    assert later == [("",), ("upstream_timeout",)]
