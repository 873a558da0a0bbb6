"""`jitui explain` explains a stored ticket; `jitui doctor` reports what is missing."""

from __future__ import annotations

import asyncio
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from jitui.adapters.postgres.workers import PostgresWorkers
from jitui.aftersales.operations.workers import WorkerBeat
from jitui.aftersales.queries import ProviderTroubleSeen
from tests.aftersales.market import open_market
from tests.aftersales.test_pay import DECLINED, UNKNOWN, start_paying
from tests.cli.conftest import Jitui, in_a_process
from tests.provider_simulator.server import SIMULATOR_AWAY, SimulatorProcess
from tests.wire import wechat_pay_server as wechat_pay
from tests.wire.alipay_server import private_pem, public_pem


async def _ticket(database_url: str) -> UUID:
    """A request that misses one condition: the buyer never bought anything before."""
    now = datetime.now(UTC)
    async with open_market(database_url, now=now) as market:
        await market.paid_order("b-1", "o-1", now=now)
        return (await market.asked("b-1", "o-1", now=now)).ticket_id


@pytest.fixture
def ticket_id(database_url: str) -> UUID:
    return asyncio.run(_ticket(database_url))


def test_a_ticket_is_explained_in_words(settings: dict[str, str], ticket_id: UUID) -> None:
    done = in_a_process("explain", str(ticket_id), "--language", "en", settings=settings)
    assert done.code == 0, done.err
    assert max(map(len, done.out.splitlines())) <= 80
    assert "unshipped-instant-refund, version 2" in done.out
    flat = " ".join(done.out.split())
    assert "order.paid_minor = 12900" in flat
    assert "buyer.account_age_days = unknown" in flat
    verdicts = {line.split(" ")[0] for line in done.out.splitlines()[5:] if not line.startswith(" ")}
    assert verdicts <= {"true", "false", "unknown"} and len(verdicts) > 1, "words without marks for colours"


def test_a_ticket_is_explained_to_a_script(jitui: Jitui, ticket_id: UUID) -> None:
    document = jitui("explain", str(ticket_id), "--json").json
    assert document["outcome"] == "review"
    conditions = {row["id"]: row for row in document["conditions"]}
    assert conditions["paid_under_300"]["verdict"] == "true"
    assert conditions["paid_under_300"]["sentence"] == "订单实付金额低于 ¥300.00"
    assert conditions["premium_buyer"]["verdict"] == "false"
    assert conditions["premium_buyer"]["facts"]["buyer.completed_orders_365d"] == 0
    assert document["unknown"] == []


def test_a_merchant_sees_no_figure_of_the_buyer(jitui: Jitui, ticket_id: UUID) -> None:
    document = jitui("explain", str(ticket_id), "--audience", "merchant", "--json").json
    assert "unknown" not in document
    assert "selected" not in {row["id"] for row in document["conditions"]}
    assert not [name for row in document["conditions"] for name in row["facts"] if name.startswith("buyer.")]


@pytest.mark.parametrize("ticket", ["nonsense", "019a0000-0000-7000-8000-000000000000"])
def test_a_ticket_that_does_not_exist_is_code_2(jitui: Jitui, ticket: str) -> None:
    done = jitui("explain", ticket)
    assert (done.code, done.out) == (2, "")
    assert ticket in done.err


def test_doctor_names_what_is_missing_and_the_mend(settings: dict[str, str], empty_database_url: str) -> None:
    done = in_a_process("doctor", "--json", settings={**settings, "JITUI_DATABASE_URL": empty_database_url})
    found = {row["what"]: row for row in done.json["findings"]}
    assert (done.code, done.json["ok"]) == (1, False)
    assert found["database"]["level"] == "ok"
    assert (found["migrations"]["level"], found["migrations"]["mend"]) == ("missing", "Run `jitui migrate`.")


def test_doctor_is_content_with_a_migrated_database(jitui: Jitui) -> None:
    assert jitui("doctor").code == 1, "no policy is live yet"
    assert jitui("migrate").code == 0
    done = jitui("doctor", "--json")
    found = {row["what"]: row["level"] for row in done.json["findings"]}
    assert done.code == 0, done.out
    assert (found["policy"], found["roll-up"]) == ("ok", "absent")


def test_doctor_says_when_the_simulator_is_away(jitui: Jitui, monkeypatch: pytest.MonkeyPatch) -> None:
    simulator_settings(monkeypatch, "http://127.0.0.1:9")
    done = jitui("doctor")
    assert done.code == 1
    assert "failed  provider simulator: unreachable: connection broken" in done.out
    assert "Start it: `jitui provider-simulator`." in done.out
    monkeypatch.setenv("JITUI_SIMULATOR_WEBHOOK_SECRET", "s" * 16)
    assert "missing provider simulator: the simulator's webhook secret is 'whsec_'" in jitui("doctor").out


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("sk_test_jitui", "failed Stripe: unreachable: connection broken: ConnectError"),
        ("pk_test_jitui", "missing Stripe: The secret key of Stripe is one word that begins with 'sk_' or 'rk_'."),
        ("", "JITUI_STRIPE_SECRET_KEY_FILE must be the path of a file that holds one secret, and this file is empty"),
        (None, "JITUI_STRIPE_SECRET_KEY_FILE must be set too"),
    ],
)
def test_doctor_says_what_keeps_stripe_from_paying(
    jitui: Jitui, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, key: str | None, found: str
) -> None:
    (tmp_path / "secret").write_text("whsec_1")
    monkeypatch.setenv("JITUI_STRIPE_WEBHOOK_SECRET_FILE", str(tmp_path / "secret"))
    monkeypatch.setenv("JITUI_STRIPE_API_BASE", "http://127.0.0.1:9")
    if key is not None:
        (tmp_path / "key").write_text(key)
        monkeypatch.setenv("JITUI_STRIPE_SECRET_KEY_FILE", str(tmp_path / "key"))
    done = jitui("doctor")
    assert done.code == 1
    assert found in " ".join(done.out.split())


def test_doctor_tries_the_keys_of_wechat_pay_and_says_what_is_missing(
    jitui: Jitui, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given = wechat_pay.secrets_in(tmp_path, "http://127.0.0.1:9")
    for name, value in given.items():
        monkeypatch.setenv(f"JITUI_{name.upper()}", str(value))
    assert "failed  WeChat Pay: unreachable: connection broken: ConnectionError" in jitui("doctor").out

    given["wechat_pay_api_v3_key_file"].write_text("too short", encoding="utf-8")
    done = jitui("doctor")
    assert done.code == 1
    assert "missing WeChat Pay: The API v3 key of WeChat Pay has 32 characters." in done.out
    monkeypatch.delenv("JITUI_WECHAT_PAY_PUBLIC_KEY_ID")
    assert "JITUI_WECHAT_PAY_PUBLIC_KEY_ID must be set too" in " ".join(jitui("doctor").out.split())


def test_doctor_says_whether_alipay_can_be_used(jitui: Jitui, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert "absent  Alipay: not configured" in jitui("doctor").out
    for name, key in (("PRIVATE", private_pem("app")), ("PUBLIC", public_pem("platform"))):
        (tmp_path / name).write_text(key)
        monkeypatch.setenv(f"JITUI_ALIPAY_{name}_KEY_FILE", str(tmp_path / name))
    assert "JITUI_ALIPAY_APP_ID must be set too" in jitui("doctor").out
    monkeypatch.setenv("JITUI_ALIPAY_APP_ID", "2021")
    monkeypatch.setenv("JITUI_ALIPAY_GATEWAY", "http://127.0.0.1:9/gateway.do")
    assert "failed  Alipay: unreachable: connection broken: URLError" in jitui("doctor").out
    (tmp_path / "PUBLIC").write_text(public_pem("app"))
    done = jitui("doctor", "--json")
    (found,) = (row for row in done.json["findings"] if row["what"] == "Alipay")
    assert (done.code, found["level"]) == (1, "missing")
    assert "the public key is the app's own" in found["found"]


def test_doctor_survives_a_bad_setting(jitui: Jitui, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JITUI_PORT", "many")
    done = jitui("doctor")
    assert done.code == 1
    assert "JITUI_PORT must be a whole number" in done.out


# Providers that answer ---------------------------------------------------------------------------------------------


def simulator_settings(monkeypatch: pytest.MonkeyPatch, url: str, **changed: str) -> None:
    given = {**SIMULATOR_AWAY, "simulator_url": url, **changed}
    for name, value in given.items():
        monkeypatch.setenv(f"JITUI_{name.upper()}", value)


def told_of(jitui: Jitui, what: str) -> tuple[int, str, str, str]:
    """The exit code, and level, finding and remedy of the report's line."""
    done = jitui("doctor", "--json")
    (found,) = (row for row in done.json["findings"] if row["what"] == what)
    return done.code, found["level"], found["found"], found["mend"]


def test_doctor_asks_each_provider_whether_it_takes_our_key(
    jitui: Jitui, monkeypatch: pytest.MonkeyPatch, simulator: SimulatorProcess
) -> None:
    assert jitui("migrate").code == 0
    simulator_settings(monkeypatch, simulator.url)
    assert told_of(jitui, "provider simulator") == (0, "ok", "it answers, and takes our key", "")
    simulator_settings(monkeypatch, simulator.url, simulator_key="a-key-that-is-not-its")
    code, level, found, mend = told_of(jitui, "provider simulator")
    assert (code, level, found) == (1, "failed", "unauthorised: look-up answered 401 unauthorised")
    assert mend.startswith("It does not take our key: mend the settings")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        simulator_settings(monkeypatch, url, provider_timeout_seconds="1")
        code, level, found, mend = told_of(jitui, "provider simulator")
    assert (code, level, found) == (1, "failed", "timed_out: no answer in time")
    assert mend.startswith("It answers too late")


# What goes on ------------------------------------------------------------------------------------------------------


async def _everything_wrong(database_url: str) -> str:
    """One service with everything wrong for fifty minutes; the failed refund's id."""
    now = datetime.now(UTC) - timedelta(minutes=50)
    async with open_market(database_url, now=now) as market:
        failed = await start_paying(market, "failed", now=now)
        await failed.hears(DECLINED, now=now)
        await (await start_paying(market, "unknown", now=now)).hears(UNKNOWN, now=now)
        buyer = await market.premium_buyer("b-queued", now)
        await market.paid_order(buyer, "o-queued", amounts=(10_000,), now=now)
        await market.asked(buyer, "o-queued", now=now)
        workers = PostgresWorkers(market.pool)
        trouble = {"stripe": ProviderTroubleSeen("unauthorised", "invalid_api_key", now)}
        await workers.beat(WorkerBeat("w-1", now, ("simulator",), trouble))
        await workers.beat(WorkerBeat("w-2", now, ("simulator",)))
        async with market.pool.connection() as connection:
            await connection.execute("UPDATE refund SET provider = 'paypal' WHERE order_id = 'o-queued'")
            await connection.execute("UPDATE tender SET captured_minor = 10001 WHERE order_id = 'o-queued'")
            await connection.execute("UPDATE worker SET seen_at = seen_at - interval '2 hours' WHERE name = 'w-2'")
        return str(failed.claimed.refund.refund_id)


def test_doctor_is_red_for_everything_that_goes_wrong_and_says_what_to_do(
    jitui: Jitui, database_url: str, monkeypatch: pytest.MonkeyPatch, simulator: SimulatorProcess
) -> None:
    simulator_settings(monkeypatch, simulator.url)
    assert jitui("migrate").code == 0
    asyncio.run(_everything_wrong(database_url))
    done = jitui("doctor", "--json")
    red = {row["what"]: (row["found"], row["mend"]) for row in done.json["findings"] if row["level"] == "failed"}
    assert (done.code, set(red)) == (
        1,
        {
            "refunds",
            "outcomes at simulator",
            "provider paypal",
            "provider stripe",
            "ledger",
            "roll-up",
            "worker w-2",
        },
    )
    assert red["refunds"][0] == "1 failed (simulator), the oldest for 50 min"
    assert red["refunds"][1].startswith("`jitui refunds list --state failed`")
    assert red["outcomes at simulator"][0] == "1 unknown for longer than is usual, the oldest for 50 min"
    assert red["provider paypal"][0] == "not configured; refunds that wait for it: 1, the oldest for 50 min"
    assert red["provider stripe"][0] == "unauthorised for 50 min: invalid_api_key"
    assert red["ledger"][0] == "order o-queued differs: captured is 10000 by the ledger and 10001 by the order"
    assert red["roll-up"][0].startswith("cap usage is 50 min old")
    assert red["worker w-2"][0] == "silent for 2 h"
    shown = jitui("doctor").out
    assert max(map(len, shown.splitlines())) <= 80
    assert "failed  provider paypal: not configured; refunds that wait for it: 1" in shown
    tasks = next(row for row in done.json["findings"] if row["what"] == "tasks")
    assert (tasks["level"], tasks["found"]) == ("absent", "open are 1 refund_failed")


def test_doctor_is_red_without_a_worker_where_there_was_one(jitui: Jitui, database_url: str) -> None:
    assert jitui("migrate").code == 0
    long_ago = datetime.now(UTC) - timedelta(hours=1)

    async def roll_up() -> None:
        async with open_market(database_url, now=long_ago):
            pass

    asyncio.run(roll_up())
    assert told_of(jitui, "workers")[:3] == (1, "failed", "none at work; refunds that wait: 0")
