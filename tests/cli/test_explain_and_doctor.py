"""`jitui explain` explains a stored ticket; `jitui doctor` reports what is missing."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from tests.aftersales.market import open_market
from tests.cli.conftest import Jitui, in_a_process
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
    assert "unshipped-instant-refund, version 1" in done.out
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
    assert conditions["paid_under_300"]["sentence"] == "订单实付金额低于 300 元"
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
    monkeypatch.setenv("JITUI_SIMULATOR_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("JITUI_SIMULATOR_KEY", "k" * 16)
    monkeypatch.setenv("JITUI_SIMULATOR_WEBHOOK_SECRET", "s" * 16)
    done = jitui("doctor")
    assert done.code == 1
    assert "missing provider simulator: http://127.0.0.1:9 does not answer" in done.out


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("sk_test_jitui", "missing Stripe: connection broken: ConnectError"),
        ("pk_test_jitui", "missing Stripe: The secret key of Stripe is one word that begins with 'sk_' or 'rk_'."),
        ("", "JITUI_STRIPE_SECRET_KEY_FILE must be the path of a file that can be read and holds one secret"),
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
    assert f"ok      WeChat Pay: the keys of merchant {wechat_pay.MERCHANT} can be used" in jitui("doctor").out

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
    assert "ok      Alipay: the keys of app 2021 can be used" in jitui("doctor").out
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
