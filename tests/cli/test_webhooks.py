"""Webhook endpoints and encryption keys from the command line."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import pytest
from standardwebhooks import Webhook

from jitui.aftersales.model.task import NewTask, TaskKind
from jitui.bootstrap import Service, open_service, utc_now
from jitui.encryption import Encryption, new_key
from jitui.settings import Settings
from jitui.webhooks.endpoints import decrypted
from jitui.webhooks.model import DeliveryState
from tests.cli.conftest import Jitui

URL = "https://shop.example/webhooks"
_Result = TypeVar("_Result")


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> dict[str, str]:
    keys = tmp_path / "encryption-keys"
    keys.write_text(new_key())
    return {
        "JITUI_HOME": str(tmp_path / "home"),
        "JITUI_DATABASE_URL": database_url,
        "JITUI_ENCRYPTION_KEY_FILE": str(keys),
    }


def on(database_url: str, home: Path, work: Callable[[Service], Awaitable[_Result]]) -> _Result:
    async def run() -> _Result:
        async with open_service(Settings(home=home), database_url) as service:
            return await work(service)

    return asyncio.run(run())


def test_an_endpoint_is_created_listed_shown_changed_and_deleted(jitui: Jitui) -> None:
    assert jitui("webhooks", "list").out == "There are no webhook endpoints.\n"
    done = jitui("webhooks", "create", URL, "--shop", "s-1", "--kind", "stop_ship", "--description", "Ware\nhouse")
    assert done.code == 0 and "Keep the secret now" in done.err
    secret = done.out.splitlines()[-1]
    assert Webhook(secret) and "Ware\\nhouse" in done.out
    (endpoint,) = jitui("webhooks", "list", "--json").json["endpoints"]
    assert (endpoint["shop_id"], endpoint["url"], endpoint["kinds"]) == ("s-1", URL, ["stop_ship"])
    assert (endpoint["state"], endpoint["created_by"]) == ("active", "command line")
    name = endpoint["endpoint_id"]
    shown = jitui("webhooks", "show", name)
    assert URL in shown.out and "shop s-1; stop_ship" in shown.out and "whsec_" not in shown.out
    changed = jitui("webhooks", "update", name, "--url", URL + "/2", "--all-kinds", "--json").json
    assert (changed["url"], changed["kinds"], changed["description"]) == (URL + "/2", [], "Ware\nhouse")
    changed = jitui("webhooks", "update", name, "--kind", "order.paid", "--kind", "stop_ship", "--json").json
    assert changed["kinds"] == ["order.paid", "stop_ship"]
    assert jitui("webhooks", "delete", name).code == 0
    assert jitui("webhooks", "show", name).code == 2


def test_an_endpoint_of_the_platform_has_no_shop(jitui: Jitui) -> None:
    made = jitui("webhooks", "create", URL, "--by", "li.na", "--json").json
    assert (made["endpoint"]["shop_id"], made["endpoint"]["created_by"]) == (None, "li.na")
    assert made["secret"].startswith("whsec_")
    assert "platform; every kind of event" in jitui("webhooks", "list").out
    assert jitui("webhooks", "list", "--shop", "s-1", "--json").json == {"endpoints": []}


def test_pausing_says_why_and_resuming_ends_it(jitui: Jitui) -> None:
    name = jitui("webhooks", "create", URL, "--json").json["endpoint"]["endpoint_id"]
    assert "paused: We move." in jitui("webhooks", "pause", name, "--reason", "We move.").out
    assert jitui("webhooks", "pause", name, "--json").json["paused_because"] == "We move."
    assert jitui("webhooks", "resume", name, "--json").json["state"] == "active"


def test_a_rotated_secret_is_another_one(jitui: Jitui) -> None:
    made = jitui("webhooks", "create", URL, "--json").json
    rotated = jitui("webhooks", "rotate-secret", made["endpoint"]["endpoint_id"], "--overlap-hours", "1", "--json").json
    assert rotated["secret"].startswith("whsec_") and rotated["secret"] != made["secret"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("create", "http://shop.example/"), "Expected an https address"),
        (("create", "https://10.0.0.1/"), "10.0.0.1 is not a public address"),
        (("create", URL, "--kind", "never"), "--kind is one of order.paid,"),
        (("create", URL, "--shop", "a b"), "this is no id"),
        (("show", "nonsense"), "is not an endpoint's id"),
        (("show", str(uuid4())), "There is no webhook endpoint"),
        (("delete", str(uuid4())), "There is no webhook endpoint"),
        (("redeliver", str(uuid4())), "Give either --event or --since"),
        (("redeliver", str(uuid4()), "--event", "42"), "is no event's id"),
        (("redeliver", str(uuid4()), "--since", "yesterday"), "--since takes a time"),
        (("deliveries", str(uuid4()), "--state", "lost"), "--state is one of pending, delivered, dead"),
        (("update", str(uuid4()), "--kind", "stop_ship", "--all-kinds"), "Give either --kind or --all-kinds"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(jitui: Jitui, words: tuple[str, ...], says: str) -> None:
    done = jitui("webhooks", *words)
    assert done.code == 2 and says in done.err and done.out == ""


def test_the_same_address_again_is_refused(jitui: Jitui) -> None:
    assert jitui("webhooks", "create", URL).code == 0
    again = jitui("webhooks", "create", URL)
    assert again.code == 2 and "There is an endpoint for this address already" in again.err


def test_without_a_key_for_secrets_no_endpoint_is_made(jitui: Jitui, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JITUI_ENCRYPTION_KEY_FILE")
    done = jitui("webhooks", "create", URL)
    assert done.code == 2 and "JITUI_ENCRYPTION_KEY_FILE" in done.err


def test_deliveries_are_listed_and_sent_again(jitui: Jitui, database_url: str, tmp_path: Path) -> None:
    name = jitui("webhooks", "create", URL, "--json").json["endpoint"]["endpoint_id"]
    assert jitui("webhooks", "deliveries", name).out == "There are no deliveries.\n"

    async def happened(service: Service) -> None:
        async with service.store._pool.connection() as connection:  # type: ignore[attr-defined]  # rows as a worker leaves them
            await connection.execute(
                "INSERT INTO change (lane, position, kind, order_id, buyer_id, shop_id, at, body) "
                "VALUES (1, 1, 'stop_ship', E'o\\u202e1', 'b-1', 's-1', '2026-06-01T12:00:00Z', '{}')"
            )
            await connection.execute(
                "INSERT INTO webhook_delivery (lane, endpoint_id, position, change_id, order_id, state, tries, "
                "queued_at, closed_at, failure) "
                "SELECT lane, %s, 1, change_id, order_id, 'dead', 9, at, at, 'It answered 500.' FROM change",
                (name,),
            )

    on(database_url, tmp_path, happened)
    shown = jitui("webhooks", "deliveries", name).out
    assert "stop_ship  dead" in shown and "9 attempts; It answered 500." in shown and "\u202e" not in shown
    assert jitui("webhooks", "deliveries", name, "--state", "pending").out == "There are no pending deliveries.\n"
    (dead,) = jitui("webhooks", "deliveries", name, "--json").json["deliveries"]
    assert (dead["state"], dead["tries"], dead["kind"]) == (DeliveryState.DEAD, 9, "stop_ship")
    assert jitui("webhooks", "redeliver", name, "--event", "evt_999").code == 2
    assert jitui("webhooks", "redeliver", name, "--since", "2026-06-02T00:00:00Z", "--json").json == {"redelivered": 0}
    assert jitui("webhooks", "redeliver", name, "--event", dead["event_id"], "--json").json == {"redelivered": 1}
    assert "pending" in jitui("webhooks", "deliveries", name).out
    assert "sends again: 1." in jitui("webhooks", "redeliver", name, "--event", dead["event_id"]).out


def test_a_new_key_takes_over_by_renewing(
    jitui: Jitui, settings: dict[str, str], database_url: str, tmp_path: Path
) -> None:
    secret = jitui("webhooks", "create", URL, "--json").json["secret"]
    file = Path(settings["JITUI_ENCRYPTION_KEY_FILE"])
    key = jitui("secrets", "new-key").out.strip()
    file.write_text(f"{key}\n{file.read_text()}\n")
    assert jitui("secrets", "rotate", "--json").json == {"changed": 1}
    file.write_text(key)
    stored = on(database_url, tmp_path, lambda service: service.webhooks.endpoints.stored_secrets())
    assert [decrypted(Encryption([key]), endpoint_id, one) for endpoint_id, one in stored] == [secret]
    file.write_text(new_key())
    lost = jitui("secrets", "rotate")
    assert lost.code == 2 and "cannot be decrypted" in lost.err


def webhooks_in(jitui: Jitui) -> dict[str, str]:
    findings = jitui("doctor", "--json").json["findings"]
    (found,) = [one for one in findings if one["what"] == "webhooks"]
    return dict(found)


def test_doctor_is_red_while_a_task_about_webhooks_is_open_or_a_secret_is_lost(
    jitui: Jitui, settings: dict[str, str], database_url: str, tmp_path: Path
) -> None:
    jitui("migrate")
    assert webhooks_in(jitui)["level"] == "ok"
    name = jitui("webhooks", "create", URL, "--json").json["endpoint"]["endpoint_id"]
    jitui("webhooks", "pause", name)
    assert webhooks_in(jitui)["found"] == "0 events wait, 0 dead letters, 1 endpoints paused"
    assert webhooks_in(jitui)["level"] == "ok", "somebody paused it"
    task = NewTask("a task", TaskKind.WEBHOOK_ENDPOINT_PAUSED, "webhooks", {}, utc_now())
    on(database_url, tmp_path, lambda service: service.tasks.open([task]))
    assert webhooks_in(jitui)["level"] == "failed"
    jitui("tasks", "--resolve", str(task.task_id), "--note", "Mended.")
    assert webhooks_in(jitui)["level"] == "ok"
    Path(settings["JITUI_ENCRYPTION_KEY_FILE"]).write_text(new_key())
    assert "cannot be decrypted" in webhooks_in(jitui)["found"] and webhooks_in(jitui)["level"] == "missing"
