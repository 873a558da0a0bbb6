"""What follows from an attempt, and how a message is signed: verified by the public libraries of two languages."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from jitui.aftersales.ports import OutgoingEvent
from jitui.webhooks.delivery import (
    FIRST_RETRY,
    LONGEST_RETRY,
    LONGEST_RETRY_AFTER,
    Message,
    after_attempt,
    retry_pause,
    signed_message,
)
from jitui.webhooks.endpoints import new_secret
from jitui.webhooks.model import ClaimedDelivery, DeliveryState, EndpointState, SendResult, WebhookEndpoint

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
DEAD_AFTER = timedelta(hours=72)
SECRET, OTHER = new_secret(), new_secret()
ENDPOINT = WebhookEndpoint(UUID(int=1), "", "https://shop.example/", "", (), EndpointState.ACTIVE, NOW, "tests")
EVENT = OutgoingEvent(
    42,
    "ticket.refunded",
    NOW,
    "订单-1",
    "b-1",
    "s-1",
    UUID(int=2),
    {"amount_minor": 12900, "说": "“引号”"},
    UUID(int=3),
)
CLAIMED = ClaimedDelivery(5, ENDPOINT, (), UUID(int=4), "o-1", 42, 0, NOW, EVENT)
NODE_MODULES = Path(__file__).resolve().parents[2] / ".venv" / "frontend" / "node_modules"

_VERIFY = """
const { Webhook } = require("standardwebhooks");
const { secret, headers, body } = JSON.parse(require("fs").readFileSync(0, "utf-8"));
try {
  process.stdout.write(JSON.stringify(new Webhook(secret).verify(body, headers)));
} catch (error) {
  process.stdout.write(JSON.stringify({ refused: error.name }));
}
"""


def in_javascript(secret: str, message: Message) -> Any:
    """What the JavaScript library of Standard Webhooks reads of a message, run by Node."""
    node = shutil.which("node") or str(Path(sys.executable).parent / "node")
    given = json.dumps({"secret": secret, "headers": dict(message.headers), "body": message.body.decode()})
    environment = {**os.environ, "NODE_PATH": str(NODE_MODULES)}
    done = subprocess.run(
        [node, "-e", _VERIFY], input=given.encode(), env=environment, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def message(*secrets: str, now: datetime | None = None) -> Message:
    return signed_message(EVENT, ENDPOINT, secrets, now or datetime.now(UTC), "Jitui/tests")


def test_the_libraries_of_python_and_of_javascript_verify_a_message() -> None:
    made = message(SECRET)
    read = Webhook(SECRET).verify(made.body, dict(made.headers))
    assert in_javascript(SECRET, made) == read
    assert (read["type"], read["id"], read["specversion"]) == (
        "jitui.ticket.refunded",
        made.headers["webhook-id"],
        "1.0",
    )
    assert read["data"]["order_id"] == "订单-1" and read["data"]["body"] == EVENT.body
    assert made.headers["content-type"] == "application/cloudevents+json; charset=utf-8"


def test_while_secrets_overlap_each_of_them_verifies() -> None:
    made = message(OTHER, SECRET)
    assert len(made.headers["webhook-signature"].split(" ")) == 2
    for secret in (SECRET, OTHER):
        assert Webhook(secret).verify(made.body, dict(made.headers))["id"] == EVENT.event_id
        assert in_javascript(secret, made)["id"] == EVENT.event_id


def test_another_secret_another_body_or_another_time_is_refused_by_both() -> None:
    made = message(SECRET)
    later = message(SECRET, now=datetime.now(UTC) - timedelta(minutes=6))
    changed = Message(made.headers, made.body.replace(b"12900", b"12901"))
    renamed = Message({**made.headers, "webhook-id": "evt_1"}, made.body)
    for secret, wrong in ((OTHER, made), (SECRET, later), (SECRET, changed), (SECRET, renamed)):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(wrong.body, dict(wrong.headers))
        assert in_javascript(secret, wrong) == {"refused": "WebhookVerificationError"}


def test_a_secret_has_256_bits_and_is_never_the_same() -> None:
    assert SECRET != OTHER
    assert SECRET.startswith("whsec_") and len(SECRET) == len("whsec_") + 44


def test_the_id_is_the_same_however_often_it_is_sent_and_to_whom() -> None:
    shop = replace(ENDPOINT, shop_id="s-1")
    ids = {
        signed_message(EVENT, to, [SECRET], NOW + timedelta(hours=n), "x").headers["webhook-id"]
        for to in (ENDPOINT, shop)
        for n in (0, 1)
    }
    assert ids == {EVENT.event_id}
    assert "." not in EVENT.event_id, "it would stand between id and time where they are signed"


def test_which_arm_decided_is_told_to_the_platform_alone() -> None:
    event = replace(EVENT, body={"arm": "live"})
    for shop_id, told in (("", {"arm": "live"}), ("s-1", {})):
        body = json.loads(signed_message(event, replace(ENDPOINT, shop_id=shop_id), [SECRET], NOW, "x").body)
        assert body["data"]["body"] == told


# After an attempt --------------------------------------------------------------------------------------------------


def after(result: SendResult, *, tries: int = 0, passed: timedelta = timedelta(0), spread: float = 1.0) -> Any:
    claimed = replace(CLAIMED, tries=tries)
    return after_attempt(claimed, result, now=NOW + passed, dead_after=DEAD_AFTER, spread=spread)


def test_an_event_that_was_taken_is_delivered_whenever_that_was() -> None:
    for passed in (timedelta(0), DEAD_AFTER, timedelta(days=99)):
        attempted = after(SendResult(204), passed=passed)
        assert (attempted.state, attempted.status, attempted.failure) == (DeliveryState.DELIVERED, 204, "")
        assert attempted.due_at == NOW + passed, "the next one of its order goes at once"


def test_the_pause_doubles_up_to_an_hour_and_is_spread() -> None:
    pauses = [retry_pause(tries, 1.0) for tries in range(12)]
    assert pauses[:4] == [FIRST_RETRY, FIRST_RETRY * 2, FIRST_RETRY * 4, FIRST_RETRY * 8]
    assert pauses[-2:] == [LONGEST_RETRY, LONGEST_RETRY]
    assert retry_pause(10**6, 1.0) == LONGEST_RETRY
    assert retry_pause(3, 0.0) == FIRST_RETRY * 4
    assert retry_pause(3, 0.5) == FIRST_RETRY * 6
    assert after(SendResult(500, "no"), tries=2).due_at == NOW + FIRST_RETRY * 4


def test_an_event_is_dead_when_an_attempt_fails_after_its_time() -> None:
    failed = SendResult(None, "It cannot be connected to.")
    moment = timedelta(microseconds=1)
    assert after(failed, tries=80, passed=DEAD_AFTER - moment).state is DeliveryState.PENDING
    dead = after(failed, tries=80, passed=DEAD_AFTER)
    assert (dead.state, dead.failure, dead.status) == (DeliveryState.DEAD, failed.failure, None)
    assert dead.due_at == NOW + DEAD_AFTER, "the next one of its order goes at once"


def test_the_last_attempt_is_at_the_end_of_its_time() -> None:
    late = DEAD_AFTER - timedelta(minutes=5)
    assert after(SendResult(500, "no"), tries=80, passed=late).due_at == NOW + DEAD_AFTER


def test_a_receiver_may_ask_for_a_longer_pause_but_not_for_a_shorter_one_or_for_ever() -> None:
    def due_in(seconds: float) -> timedelta:
        due: timedelta = after(SendResult(429, "slow", seconds)).due_at - NOW
        return due

    assert due_in(120) == timedelta(seconds=120)
    assert due_in(0) == due_in(1) == FIRST_RETRY
    assert due_in(10**9) == LONGEST_RETRY_AFTER
