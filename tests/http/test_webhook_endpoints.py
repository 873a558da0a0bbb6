"""Webhook endpoints through the API: who may see and change them, what is shown once, and what is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from jitui.bootstrap_sending import webhook_dispatcher
from jitui.identity.access import KeyScope
from jitui.identity.keys import issue_key
from jitui.settings import Settings
from tests.http.api import MISSING_BODY, Api, open_api
from tests.provider_simulator.server import SIMULATOR_AWAY
from tests.webhooks.receiver import Receiver, receiving
from tests.webhooks.world import settings_of

URL = "https://shop.example/webhooks"


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with open_api(database_url, home=tmp_path, settings=settings_of(tmp_path, **SIMULATOR_AWAY)) as opened:
        yield opened


async def created(api: Api, url: str = URL, **more: Any) -> Any:
    key = more.pop("key", api.platform)
    got = await api.post("/v1/webhook-endpoints", {"url": url, **more}, key=key)
    assert got.status_code == 201, got.text
    return got.json()


def path(made: Any, more: str = "") -> str:
    return f"/v1/webhook-endpoints/{made['endpoint']['endpoint_id']}{more}"


async def sent(api: Api) -> None:
    """What a worker does."""
    async with webhook_dispatcher(api.service) as dispatcher:
        while await dispatcher.fan_out():
            pass
        await dispatcher.send_due()


async def test_a_secret_is_shown_when_it_is_made_and_never_again(api: Api) -> None:
    made = await created(api, kinds=["stop_ship", "ticket.refunded", "stop_ship"], description="Warehouse")
    assert made["secret"].startswith("whsec_")
    endpoint = made["endpoint"]
    assert (endpoint["url"], endpoint["shop_id"], endpoint["state"]) == (URL, None, "active")
    assert (endpoint["kinds"], endpoint["description"]) == (["stop_ship", "ticket.refunded"], "Warehouse")
    assert (endpoint["created_by"], endpoint["paused_because"], endpoint["failing_since"]) == ("tests", "", None)
    shown = await api.get(path(made))
    assert shown.json() == endpoint
    listed = await api.get("/v1/webhook-endpoints")
    assert listed.json() == {"endpoints": [endpoint], "next": None}
    assert "whsec_" not in shown.text + listed.text


async def test_an_event_arrives_and_its_delivery_is_listed(api: Api) -> None:
    async with receiving() as receiver:
        made = await created(api, receiver.url)
        await api.paid_order("o-1")
        ticket = (await api.ask("o-1"))["ticket"]
        await sent(api)
        receiver.verified(made["secret"])
        page = (await api.get(path(made, "/deliveries"))).json()
        assert [one["kind"] for one in page["deliveries"]] == [one.kind for one in receiver.arrived][::-1]
        newest = page["deliveries"][0]
        assert newest["event_id"] == receiver.arrived[-1].event_id
        assert (newest["order_id"], newest["ticket_id"]) == ("o-1", ticket["ticket_id"])
        assert (newest["state"], newest["tries"], newest["status"], newest["failure"]) == ("delivered", 1, 204, "")
        assert (await api.get(path(made, "/deliveries?state=dead"))).json()["deliveries"] == []
        first = (await api.get(path(made, "/deliveries?limit=3"))).json()
        rest = (await api.get(path(made, "/deliveries"), params={"limit": 3, "cursor": first["next"]})).json()
        assert first["deliveries"] + rest["deliveries"] == page["deliveries"] and rest["next"] is None
        feed = await api.get("/v1/changes", headers={"accept": "application/cloudevents-batch+json"})
        assert feed.json() == [one.event for one in receiver.arrived], "the same events with the same ids"


# Whose -------------------------------------------------------------------------------------------------------------


async def test_a_shop_has_its_own_endpoints_and_sees_no_others(api: Api) -> None:
    other = (await issue_key(api.service.keys, KeyScope.SHOP, "shop-2", label="", now=api.now())).secret
    platforms = await created(api)
    own = await created(api, key=api.shop)
    for_shop = await created(api, "https://shop.example/2", shop_id="shop-1")
    foreign = await created(api, key=other)
    assert own["endpoint"]["shop_id"] == "shop-1" and own["endpoint"]["created_by"] == "shop-1"
    listed = (await api.get("/v1/webhook-endpoints", key=api.shop)).json()["endpoints"]
    mine = {own["endpoint"]["endpoint_id"], for_shop["endpoint"]["endpoint_id"]}
    assert {one["endpoint_id"] for one in listed} == mine
    assert len((await api.get("/v1/webhook-endpoints")).json()["endpoints"]) == 4
    filtered = (await api.get("/v1/webhook-endpoints", params={"shop_id": "shop-2"})).json()["endpoints"]
    assert [one["endpoint_id"] for one in filtered] == [foreign["endpoint"]["endpoint_id"]]
    nothing = {**own, "endpoint": {"endpoint_id": "0197312a-7800-7a16-8355-b4c5d6e7f809"}}
    for theirs in (platforms, foreign, nothing, {"endpoint": {"endpoint_id": "nonsense"}}):
        for method, more, body in (
            ("GET", "", None),
            ("PUT", "", {"description": "x"}),
            ("DELETE", "", None),
            ("POST", "/pause", None),
            ("POST", "/resume", None),
            ("POST", "/rotate-secret", None),
            ("GET", "/deliveries", None),
            ("POST", "/redeliver", {"since": "2026-01-01T00:00:00Z"}),
        ):
            got = await api.call(method, path(theirs, more), body, key=api.shop)
            assert got.status_code == 404 and MISSING_BODY in got.content, (method, more)
    assert (await api.get(path(platforms))).json() == platforms["endpoint"]
    for shop_id in ("shop-2", ""):
        got = await api.post("/v1/webhook-endpoints", {"url": URL + "/x", "shop_id": shop_id}, key=api.shop)
        assert got.status_code in (404, 400)
    assert (await api.get("/v1/webhook-endpoints", params={"shop_id": "shop-2"}, key=api.shop)).status_code == 404


async def test_pages_of_endpoints_lead_on(api: Api) -> None:
    made = []
    for number in range(5):
        made.append(await created(api, f"{URL}/{number}"))
        api.now.later(seconds=1)
    seen, cursor = [], None
    for _ in range(3):
        params = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = (await api.get("/v1/webhook-endpoints", params=params)).json()
        seen += page["endpoints"]
        cursor = page["next"]
    assert seen == [one["endpoint"] for one in made][::-1] and cursor is None


# Refused -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("https://10.0.0.1/", "10.0.0.1 is not a public address"),
        ("https://[fd00::1]/", "fd00::1 is not a public address"),
        ("https://169.254.169.254/", "is not a public address"),
        ("ftp://shop.example/", "such as https://"),
        ("https://ada:b@shop.example/", "without a user"),
    ],
)
async def test_an_address_that_may_not_be_called_is_refused_at_once(api: Api, url: str, says: str) -> None:
    made = await created(api)
    for got in (
        await api.post("/v1/webhook-endpoints", {"url": url}),
        await api.put(path(made), {"url": url}),
    ):
        assert (got.status_code, got.json()["type"]) == (400, "/problems/invalid-request")
        assert got.json()["path"] == "url" and says in got.json()["detail"]
    assert (await api.get(path(made))).json()["url"] == URL


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "url"),
        ({"url": ""}, "url"),
        ({"url": URL, "kinds": ["ticket.never"]}, "kinds[0]"),
        ({"url": URL, "kinds": None}, "kinds"),
        ({"url": URL, "secret": "whsec_AAAA"}, "secret"),
        ({"url": URL, "description": "x" * 501}, "description"),
    ],
)
async def test_a_body_that_does_not_fit_is_refused(api: Api, body: Any, path: str) -> None:
    got = await api.post("/v1/webhook-endpoints", body)
    assert (got.status_code, got.json()["path"]) == (400, path)


async def test_an_address_is_taken_once_by_each_owner(api: Api) -> None:
    first = await created(api)
    second = await created(api, "https://shop.example/2")
    again = await api.post("/v1/webhook-endpoints", {"url": URL})
    assert (again.status_code, again.json()["type"]) == (409, "/problems/webhook-endpoint-exists")
    moved = await api.put(path(second), {"url": URL})
    assert (moved.status_code, moved.json()["type"]) == (409, "/problems/webhook-endpoint-exists")
    assert (await api.put(path(first), {"url": URL})).status_code == 200, "its own"
    await created(api, shop_id="shop-1")


async def test_without_a_key_for_secrets_no_endpoint_is_made(database_url: str, tmp_path: Path) -> None:
    async with open_api(database_url, home=tmp_path, settings=Settings(home=tmp_path)) as api:
        got = await api.post("/v1/webhook-endpoints", {"url": URL})
        assert (got.status_code, got.json()["type"]) == (409, "/problems/encryption-not-configured")
        assert "JITUI_ENCRYPTION_KEY_FILE" in got.json()["detail"]
        assert (await api.get("/v1/webhook-endpoints")).json()["endpoints"] == []


# Changed -----------------------------------------------------------------------------------------------------------


async def test_what_is_not_given_stays_as_it_was(api: Api) -> None:
    made = await created(api, kinds=["stop_ship"], description="Warehouse")
    assert (await api.put(path(made), {})).json() == made["endpoint"]
    changed = (await api.put(path(made), {"kinds": []})).json()
    assert changed == {**made["endpoint"], "kinds": []}
    changed = (await api.put(path(made), {"url": URL + "/2", "description": ""})).json()
    assert (changed["url"], changed["description"], changed["kinds"]) == (URL + "/2", "", [])


async def test_a_paused_endpoint_says_why_and_gets_what_waited_when_it_is_resumed(api: Api) -> None:
    async with receiving() as receiver:
        made = await created(api, receiver.url)
        paused = await api.post(path(made, "/pause"), {"reason": "We move."})
        assert (paused.json()["state"], paused.json()["paused_because"]) == ("paused", "We move.")
        again = await api.post(path(made, "/pause"))
        assert again.json() == paused.json()
        await api.paid_order("o-1")
        await sent(api)
        assert receiver.arrived == []
        resumed = await api.post(path(made, "/resume"))
        assert resumed.json() == (await api.post(path(made, "/resume"))).json() == made["endpoint"]
        await sent(api)
        assert len(receiver.taken) == 1
    assert (await api.post(path(made, "/pause"))).json()["paused_because"] == "Paused by hand."


async def test_both_secrets_sign_while_they_overlap(api: Api) -> None:
    async with receiving() as receiver:
        made = await created(api, receiver.url)
        rotated = (await api.post(path(made, "/rotate-secret"))).json()
        assert rotated["secret"] != made["secret"] and rotated["endpoint"] == made["endpoint"]
        await api.paid_order("o-1")
        await sent(api)
        receiver.verified(made["secret"])
        receiver.verified(rotated["secret"])
        at_once = (await api.post(path(made, "/rotate-secret"), {"overlap_hours": 0})).json()
        receiver.arrived.clear()
        await api.paid_order("o-2")
        await sent(api)
        receiver.verified(at_once["secret"])
        with pytest.raises(AssertionError):
            receiver.verified(rotated["secret"])
    for hours in (-1, 169, "24"):
        assert (await api.post(path(made, "/rotate-secret"), {"overlap_hours": hours})).status_code == 400


async def test_a_deleted_endpoint_is_gone(api: Api) -> None:
    made = await created(api)
    assert (await api.delete(path(made))).status_code == 204
    assert (await api.delete(path(made))).status_code == 404
    assert (await api.get(path(made))).status_code == 404
    await created(api)


# Sent again --------------------------------------------------------------------------------------------------------


async def dead_letter(api: Api, receiver: Receiver) -> Any:
    """An endpoint with one dead letter and one event that was taken before it."""
    made = await created(api, receiver.url)
    await api.paid_order("o-1")
    await sent(api)
    receiver.answer = lambda _: 503
    await api.paid_order("o-2", buyer_id="buyer-2")
    await sent(api)
    api.now.later(hours=73)
    await sent(api)
    receiver.answer = lambda _: 204
    receiver.arrived.clear()
    states = [one["state"] for one in (await api.get(path(made, "/deliveries"))).json()["deliveries"]]
    assert states == ["dead", "delivered"]
    return made


async def test_a_dead_letter_is_sent_again_by_its_id(api: Api) -> None:
    async with receiving() as receiver:
        made = await dead_letter(api, receiver)
        dead, taken = (await api.get(path(made, "/deliveries"))).json()["deliveries"]
        assert dead["failure"] == "It answered 503." and dead["closed_at"] is not None
        tasks = (await api.get("/v1/tasks", params={"kind": "webhook_dead_letter"})).json()["tasks"]
        assert [task["evidence"]["event_id"] for task in tasks] == [dead["event_id"]]
        for event_id in (dead["event_id"], taken["event_id"]):
            got = await api.post(path(made, "/redeliver"), {"event_id": event_id})
            assert got.json() == {"redelivered": 1}
            await sent(api)
            assert receiver.arrived[-1].event_id == event_id
        position = dead["event_id"].split("_")[1]
        for unknown in ("evt_999", f"evt_{position}", f"evt_{position}_{'0' * 32}"):
            assert (await api.post(path(made, "/redeliver"), {"event_id": unknown})).status_code == 404
        assert len(receiver.arrived) == 2


async def test_dead_letters_since_a_time_are_sent_again(api: Api) -> None:
    async with receiving() as receiver:
        made = await dead_letter(api, receiver)
        began = api.now() - timedelta(hours=73)
        later = {"since": (began + timedelta(seconds=1)).isoformat()}
        assert (await api.post(path(made, "/redeliver"), later)).json() == {"redelivered": 0}
        assert (await api.post(path(made, "/redeliver"), {"since": began.isoformat()})).json() == {"redelivered": 1}
        await sent(api)
        assert [one.order_id for one in receiver.arrived] == ["o-2"]
        everything = {"since": began.isoformat(), "delivered": True}
        assert (await api.post(path(made, "/redeliver"), everything)).json() == {"redelivered": 2}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"event_id": "evt_1", "since": "2026-06-01T12:00:00Z"},
        {"event_id": "42"},
        {"event_id": "evt_" + "9" * 30},
        {"event_id": "evt_1_xyz"},
        {"since": "2026-06-01T12:00:00"},
        {"since": "1800-06-01T12:00:00Z"},
        {"delivered": True},
    ],
)
async def test_what_is_to_be_sent_again_must_be_said_clearly(api: Api, body: Any) -> None:
    got = await api.post(path(await created(api), "/redeliver"), body)
    assert (got.status_code, got.json()["type"]) == (400, "/problems/invalid-request")


async def test_how_an_endpoint_fares_is_shown(api: Api) -> None:
    async with receiving(lambda _: 500) as receiver:
        made = await created(api, receiver.url)
        await api.paid_order("o-1")
        await sent(api)
        failed_at = api.now()
        shown = (await api.get(path(made))).json()
        assert shown["last_failure"] == "It answered 500." and shown["last_success_at"] is None
        assert shown["failing_since"] == shown["last_failure_at"] == failed_at.isoformat().replace("+00:00", "Z")
        receiver.answer = lambda _: 204
        api.now.later(hours=1)
        await sent(api)
        shown = (await api.get(path(made))).json()
        assert shown["failing_since"] is None and shown["last_success_at"] is not None
        assert shown["last_failure"] == "It answered 500.", "the last one there was"


async def test_metrics_say_what_waits_and_what_was_given_up(api: Api) -> None:
    async with receiving() as receiver:
        made = await dead_letter(api, receiver)
        await api.post(path(made, "/pause"))
        await api.paid_order("o-3", buyer_id="buyer-3")
        await sent(api)
        api.now.later(minutes=5)
    told = (await api.get("/metrics")).text
    assert 'jitui_webhook_deliveries{state="pending"} 1.0' in told
    assert 'jitui_webhook_deliveries{state="dead"} 1.0' in told
    assert "jitui_webhook_oldest_pending_seconds 300.0" in told
    assert "jitui_webhook_endpoints_paused 1.0" in told
