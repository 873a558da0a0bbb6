"""The simulator refuses what a real provider refuses, and pays a refund once."""

from __future__ import annotations

import asyncio
import csv
import io
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from tests.provider_simulator.server import Client, Reply, SimulatorProcess, StartSimulator, client_of


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    """One simulator for all tests that look only at payments of their own."""
    process = SimulatorProcess(tmp_path_factory.mktemp("shared") / "books.journal").start()
    yield process
    process.kill()


@pytest.fixture
async def client(shared: SimulatorProcess) -> AsyncIterator[Client]:
    async with client_of(shared) as opened:
        yield opened


def payment(name: str, amount_minor: object = 100, currency: str = "CNY") -> dict[str, object]:
    return {"id": name, "order_id": "o1", "amount_minor": amount_minor, "currency": currency}


async def account(client: Client, payment_id: str) -> tuple[object, object, object]:
    shown = (await client.call("GET", f"/payments/{payment_id}")).json
    return shown["captured_minor"], shown["refunded_minor"], shown["pending_minor"]


async def test_without_the_key_nothing_is_told_but_health(client: Client) -> None:
    for path in ("/books", "/payments/x", "/nowhere"):
        assert (await client.call("GET", path, authorization="Bearer wrong")).code == "unauthorised"
    assert (await client.call("GET", "/health", authorization="")).status == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"id":"p","order_id":"o","amount_minor":1.5,"currency":"CNY"}',
        b'{"id":"p","order_id":"o","amount_minor":"1","currency":"CNY"}',
        b'{"id":"p","order_id":"o","amount_minor":1,"currency":"yuan"}',
        b'{"id":"","order_id":"o","amount_minor":1,"currency":"CNY"}',
        b'{"id":"a b","order_id":"o","amount_minor":1,"currency":"CNY"}',
        b'{"id":"p","order_id":"o","amount_minor":1,"currency":"CNY","more":1}',
        b'{"id":"p","order_id":"o","amount_minor":9999999999999999999999,"currency":"CNY"}',
    ],
)
async def test_a_malformed_payment_is_refused_and_not_kept(client: Client, body: bytes) -> None:
    assert (await client.call("POST", "/payments", body)).code == "malformed_request"
    assert (await client.call("GET", "/payments/p")).code == "unknown_payment"


async def test_a_body_beyond_the_limit_is_refused(client: Client) -> None:
    assert (await client.call("POST", "/refunds", b" " * 70_000, idempotency_key="k")).status == 413


async def test_a_payment_again_is_the_same_payment_and_a_different_one_is_refused(client: Client) -> None:
    assert (await client.call("POST", "/payments", payment("p1"))).status == 201
    assert (await client.call("POST", "/payments", payment("p1"))).status == 200
    assert (await client.call("POST", "/payments", payment("p1", 101))).code == "payment_differs"
    assert (await client.call("POST", "/payments", payment("p2", 0))).code == "amount_not_positive"


async def test_a_batch_of_payments_is_kept_whole_or_not_at_all(client: Client) -> None:
    good = [payment("b1"), payment("b2"), payment("b1")]
    assert (await client.call("POST", "/payments/batch", {"payments": good})).json == {
        "created": 2,
        "existing": 1,
    }
    bad = await client.call("POST", "/payments/batch", {"payments": [payment("b3"), payment("b3", 5)]})
    assert bad.status == 422
    assert "payments[1]" in bad.text
    assert (await client.call("GET", "/payments/b3")).code == "unknown_payment"


@pytest.mark.parametrize(
    ("amount_minor", "currency", "code"),
    [(0, "CNY", "amount_not_positive"), (-1, "CNY", "amount_not_positive"), (1, "USD", "currency_differs")],
)
async def test_t2_amounts_that_are_no_refund_are_refused(
    client: Client, amount_minor: int, currency: str, code: str
) -> None:
    paid = await client.pay()
    assert (await client.refund(paid, amount_minor, currency=currency)).code == code
    assert await account(client, paid) == (10_000, 0, 0)


async def test_refunds_of_unknown_payments_and_unknown_references_are_not_found(client: Client) -> None:
    assert (await client.refund("never-seen", 1)).code == "unknown_payment"
    assert (await client.call("GET", f"/refunds/{uuid4()}")).code == "unknown_reference"


async def test_t1_of_two_concurrent_refunds_of_60_on_100_exactly_one_succeeds(client: Client) -> None:
    for _ in range(20):
        paid = await client.pay(100)
        replies = await asyncio.gather(*(client.refund(paid, 60) for _ in range(2)))
        assert sorted(reply.status for reply in replies) == [201, 422]
        assert await account(client, paid) == (100, 60, 0)


async def test_t3_t25_the_cap_is_what_was_captured_less_what_went_back(client: Client) -> None:
    paid = await client.pay(100)
    assert (await client.refund(paid, 101)).code == "amount_exceeds_refundable"
    assert (await client.refund(paid, 99)).status == 201
    assert (await client.refund(paid, 2)).code == "amount_exceeds_refundable"
    assert (await client.refund(paid, 1)).status == 201


async def test_t5_the_same_key_and_body_is_the_same_answer_and_one_payout(client: Client) -> None:
    key = str(uuid4())
    paid = await client.pay(100)
    first, again = [await client.refund(paid, 40, key=key) for _ in range(2)]
    assert (first.status, first.text) == (again.status, again.text)
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert await account(client, paid) == (100, 40, 0)


async def test_t28_the_same_key_with_another_amount_is_an_error(client: Client) -> None:
    key = str(uuid4())
    paid = await client.pay(100)
    assert (await client.refund(paid, 40, key=key)).status == 201
    assert (await client.refund(paid, 41, key=key)).code == "idempotency_key_reused"
    assert await account(client, paid) == (100, 40, 0)


async def test_t26_two_equal_partial_refunds_with_keys_of_their_own_are_both_paid(client: Client) -> None:
    paid = await client.pay(100)
    assert [(await client.refund(paid, 30)).status for _ in range(2)] == [201, 201]
    assert await account(client, paid) == (100, 60, 0)


async def test_a_key_remembers_its_refusal(client: Client) -> None:
    """As Stripe does: only a new key asks anew."""
    key = str(uuid4())
    paid = await client.pay(100)
    assert (await client.refund(paid, 101, key=key)).status == 422
    again = await client.refund(paid, 101, key=key)
    assert (again.code, again.headers["idempotent-replayed"]) == ("amount_exceeds_refundable", "true")


async def test_a_short_balance_refuses_until_there_is_enough_and_the_key_may_ask_again(client: Client) -> None:
    """As WeChat Pay does; the platform's account pays only where it was asked to."""
    paid, key = await client.pay(100), str(uuid4())
    assert (await client.call("PUT", "/balance", {"currency": "CNY", "amount_minor": 59})).status == 200
    assert (await client.refund(paid, 60, key=key)).code == "insufficient_balance"
    body = {"reference": "adv", "payment_id": paid, "amount_minor": 60, "currency": "CNY", "advance": True}
    advanced = await client.call("POST", "/refunds", body, idempotency_key="adv")
    assert (advanced.status, advanced.json["advanced"]) == (201, True)
    books = (await client.call("GET", "/books")).json
    assert (books["balances"], books["advanced_minor"]) == ({"CNY": 59}, {"CNY": 60})
    own = await client.call("POST", "/refunds", {**body, "reference": "own", "amount_minor": 40}, idempotency_key="own")
    assert (own.json["advanced"], (await client.call("GET", "/books")).json["balances"]) == (False, {"CNY": 19})
    other = await client.pay(100)
    assert (await client.refund(other, 60, key=str(uuid4()))).code == "insufficient_balance"
    await client.call("PUT", "/balance", {"currency": "CNY", "amount_minor": None})
    assert (await client.refund(other, 60, key=str(uuid4()))).status == 201
    assert await account(client, paid) == (100, 100, 0)


async def test_a_refund_without_a_key_is_refused(client: Client) -> None:
    paid = await client.pay()
    body = {"reference": "r", "payment_id": paid, "amount_minor": 1, "currency": "CNY"}
    assert (await client.call("POST", "/refunds", body)).code == "idempotency_key_missing"
    long = await client.call("POST", "/refunds", body, idempotency_key="k" * 256)
    assert long.code == "idempotency_key_missing"


async def test_a_key_in_use_is_a_conflict_and_one_payout(start_simulator: StartSimulator) -> None:
    async with client_of(start_simulator(latency_ms=300)) as client:
        paid = await client.pay(100)
        replies = await asyncio.gather(*(client.refund(paid, 20, key="k1") for _ in range(5)))
        assert Counter(reply.status for reply in replies) == {201: 1, 409: 4}
        assert {r.code for r in replies if r.status == 409} == {"idempotency_key_in_use"}
        assert await account(client, paid) == (100, 20, 0)


async def test_past_its_life_a_key_pays_again_and_the_books_show_it(start_simulator: StartSimulator) -> None:
    """Why the service looks up first, and never sends again past the life of a key."""
    async with client_of(start_simulator(key_life_seconds=0.05)) as client:
        paid = await client.pay(100)
        for _ in range(2):
            assert (await client.refund(paid, 20, key="k1")).status == 201
            await asyncio.sleep(0.1)
        assert (await client.call("GET", "/books")).json["paid_twice"] == ["k1"]
        (attempt,) = (await client.call("GET", "/books/attempts")).lines
        assert (attempt["times_paid"], attempt["paid_minor"]) == (2, 40)


async def test_more_refunds_a_second_than_allowed_are_told_when_to_come_back(
    start_simulator: StartSimulator,
) -> None:
    async with client_of(start_simulator(rate_limit_per_second=2)) as client:
        paid = await client.pay()
        replies = await asyncio.gather(*(client.refund(paid, 1) for _ in range(8)))
        refused = [reply for reply in replies if reply.status == 429]
        assert refused
        assert all(int(reply.headers["retry-after"]) >= 1 for reply in refused)
        succeeded = len(replies) - len(refused)
        assert await account(client, paid) == (10_000, succeeded, 0)


async def test_a_failed_refund_gives_the_amount_back_and_the_next_one_is_paid(
    start_simulator: StartSimulator,
) -> None:
    """T12."""
    async with client_of(start_simulator(faults="amounts", timing={"fail_ms": 50})) as client:
        paid = await client.pay(104)
        first = await client.refund(paid, 104)
        assert first.json["status"] == "succeeded"
        await until_status(client, str(first.json["reference"]), "failed")
        assert await account(client, paid) == (104, 0, 0)
        assert (await client.refund(paid, 100)).json["status"] == "succeeded"


@pytest.mark.parametrize(
    ("last_digits", "at_first", "in_the_end"),
    [(0, "succeeded", "succeeded"), (1, "failed", "failed"), (2, "pending", "succeeded"), (3, "pending", "failed")],
)
async def test_amounts_choose_the_course_of_a_refund(
    start_simulator: StartSimulator, last_digits: int, at_first: str, in_the_end: str
) -> None:
    timing = {"settle_ms": 50, "fail_ms": 50}
    async with client_of(start_simulator(faults="amounts", timing=timing)) as client:
        paid = await client.pay(1_000)
        reply = await client.refund(paid, 100 + last_digits)
        assert (reply.status, reply.json["status"]) == (201, at_first)
        refund = await until_status(client, str(reply.json["reference"]), in_the_end)
        assert bool(refund["failure_code"]) == (in_the_end == "failed")
        assert await account(client, paid) == (1_000, 100 + last_digits if in_the_end == "succeeded" else 0, 0)


async def until_status(client: Client, reference: str, status: str) -> dict[str, object]:
    async with asyncio.timeout(20):
        while True:
            (refund,) = await refunds_of(client, reference)
            if refund["status"] == status:
                return refund
            await asyncio.sleep(0.02)


async def refunds_of(client: Client, reference: str) -> list[dict[str, object]]:
    refunds = (await client.call("GET", f"/refunds/{reference}")).json["refunds"]
    assert isinstance(refunds, list)
    return refunds


async def test_the_statement_of_a_day_is_the_money_that_moved(simulator: SimulatorProcess) -> None:
    async with client_of(simulator) as client:
        await the_statement_is_the_money_that_moved(client)


async def the_statement_is_the_money_that_moved(client: Client) -> None:
    before = datetime.now(UTC).date()
    paid = await client.pay(10_050)
    await client.refund(paid, 10_001, reference="r1")
    yen = await client.pay(500, "JPY")
    await client.refund(yen, 500, reference="r2", currency="JPY")
    rows = []
    for day in sorted({before, datetime.now(UTC).date()}):
        reply = await client.call("GET", f"/statement.csv?day={day}")
        rows += list(csv.DictReader(io.StringIO(reply.text)))
    assert [(row["kind"], row["reference"], row["amount"], row["currency"]) for row in rows] == [
        ("capture", "", "100.50", "CNY"),
        ("refund", "r1", "-100.01", "CNY"),
        ("capture", "", "500", "JPY"),
        ("refund", "r2", "-500", "JPY"),
    ]
    assert (await client.call("GET", "/statement.csv?day=yesterday")).status == 400


async def test_the_books_can_be_read_whole_and_by_pages(simulator: SimulatorProcess) -> None:
    async with client_of(simulator) as client:
        await the_books_can_be_read_whole_and_by_pages(client)


async def the_books_can_be_read_whole_and_by_pages(client: Client) -> None:
    paid = await client.pay(10_000)
    for number in range(7):
        await client.refund(paid, 10, reference=f"r{number}")

    async def references(query: str) -> list[object]:
        return [row["reference"] for row in (await client.call("GET", f"/books/refunds{query}")).lines]

    assert await references("") == [f"r{number}" for number in range(7)]
    assert await references("?offset=2&limit=3") == ["r2", "r3", "r4"]
    assert (await client.call("GET", "/books/refunds?offset=-1")).status == 400
    books = (await client.call("GET", "/books")).json
    assert books["totals"] == {
        "CNY": {
            "payments": 1,
            "captured_minor": 10_000,
            "refunds": 7,
            "refunded_minor": 70,
            "pending_minor": 0,
        }
    }
    (row,) = (await client.call("GET", "/books/payments")).lines
    assert row["refunded_minor"] == 70


async def test_lost_answers_are_paid_and_found_by_reference(start_simulator: StartSimulator) -> None:
    """Closed connection, 500 and 504 after paying; the retry with the key is answered, not paid."""
    from aiohttp import ServerDisconnectedError

    async with client_of(start_simulator(faults="amounts")) as client:
        paid = await client.pay(10_000)
        for amount_minor, lost in ((105, None), (106, 500), (107, 504)):
            name = str(uuid4())
            try:
                reply: Reply | None = await client.refund(paid, amount_minor, reference=name)
            except ServerDisconnectedError:
                reply = None
            assert (None if reply is None else reply.status) == lost
            assert (await refunds_of(client, name))[0]["status"] == "succeeded"
            assert (await client.refund(paid, amount_minor, reference=name)).status == 201
        assert await account(client, paid) == (10_000, 105 + 106 + 107, 0)


async def test_a_stalled_request_pays_nothing_and_its_retry_pays(start_simulator: StartSimulator) -> None:
    async with client_of(start_simulator(faults="amounts", timing={"hold_ms": 100})) as client:
        paid = await client.pay(10_000)
        assert (await client.refund(paid, 108, key="k1")).status == 504
        assert (await client.call("GET", "/refunds/k1")).status == 404
        assert (await client.refund(paid, 108, key="k1")).status == 201
        assert await account(client, paid) == (10_000, 108, 0)


async def test_faults_change_while_it_runs_and_go_back_to_those_of_the_start(start_simulator: StartSimulator) -> None:
    async with client_of(start_simulator(faults="seed:1:pending_then_succeeded=1")) as client:

        async def status() -> object:
            return (await client.refund(await client.pay(100), 100)).json["status"]

        assert (await client.call("GET", "/faults")).json == {"changed": False}
        assert await status() == "pending"
        assert (await client.call("PUT", "/faults", {"faults": "seed:0:declined=1"})).json == {"changed": True}
        assert (await client.call("GET", "/faults")).json == {"changed": True}
        assert await status() == "failed"
        wrong = await client.call("PUT", "/faults", {"faults": "seed:0:nothing=1"})
        assert (wrong.status, wrong.code) == (422, "faults_unreadable")
        assert await status() == "failed", "a refused text changes nothing"
        assert (await client.call("PUT", "/faults", {"faults": None})).json == {"changed": False}
        assert await status() == "pending"
