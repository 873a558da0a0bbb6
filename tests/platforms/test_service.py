"""The service as it is configured, beside each platform: its worker's steps read there, pay there, and take hints."""

from __future__ import annotations

import json
import time
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import httpx
import pytest
from joserfc.jwk import KeySet, RSAKey
from joserfc.jws import serialize_compact

from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.request_refund import RefundRequest
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import TicketState
from jitui.aftersales.operations.platform_sync import take_order
from jitui.aftersales.outcomes import Refusal, RefusalCode, StoredResponse
from jitui.aftersales.platform import PlatformOrder
from jitui.bootstrap import Service, open_service
from jitui.entrypoints.http.app import create_app
from jitui.platform_syncing import check_eligibility_now, request_refund_now, sync_platforms
from jitui.settings import read_settings
from jitui.worker import pay_due
from tests.asgi import transport_to
from tests.platforms.kuaishou import server as kuaishou
from tests.platforms.kuaishou.test_adapter import WHOLE, message
from tests.platforms.market import open_shop_service
from tests.platforms.saleor import server as saleor
from tests.platforms.shopify import server as shopify_server
from tests.platforms.shopify import shop as shopify
from tests.platforms.shopify.test_webhooks import signed as signed_by_shopify
from tests.platforms.woocommerce import server as woocommerce_server
from tests.platforms.woocommerce import shop as woocommerce
from tests.platforms.woocommerce.test_webhooks import signed as signed_by_woocommerce


class Beside:
    """Opens services on one database and one folder."""

    def __init__(self, database_url: str, home: Path) -> None:
        self._database_url = database_url
        self._home = home

    def service(self, platform: str, url: str, secret: str) -> AbstractAsyncContextManager[Service]:
        return open_shop_service(platform, url, secret, self._database_url, self._home)


@pytest.fixture
def beside(database_url: str, tmp_path: Path) -> Beside:
    return Beside(database_url, tmp_path)


async def recorded(service: Service, number: str) -> OrderSnapshot:
    ref = await service.store.find_order(number)
    assert ref is not None, f"{number} was not taken in"
    found = await service.store.read_order(ref)
    assert found is not None
    return found


async def asked(service: Service, number: str) -> Executed | Refusal | StoredResponse:
    await service.feed.roll_up()
    buyer = (await recorded(service, number)).order.buyer_id
    return await request_refund_now(service, await service.decision_settings(), RefundRequest(buyer, number))


async def read_and_paid(service: Service, number: str) -> TicketState:
    """The worker reads, the buyer asks, the worker pays."""
    await sync_platforms(service)
    done = await asked(service, number)
    assert isinstance(done, Executed), done
    assert await pay_due(service) == 1
    return (await recorded(service, number)).ticket(done.ticket.ticket_id).state


async def told(service: Service, platform: str, headers: dict[str, str], body: bytes) -> int:
    """The status that a webhook gets; by the HTTP API, which needs no key for it."""
    async with httpx.AsyncClient(transport=transport_to(create_app(service)), base_url="http://jitui") as client:
        got = await client.post(f"/v1/notifications/{platform}", headers=headers, content=body)
    return got.status_code


async def test_woocommerce(beside: Beside) -> None:
    shop = woocommerce.Shop()
    secret = f"{woocommerce.KEY}:{woocommerce.SECRET}"
    async with woocommerce_server.serving(shop) as server, beside.service("woocommerce", server.url, secret) as service:
        number, began = shop.place([("cup", 2, "39.90")]), time.monotonic()
        assert await read_and_paid(service, number) is TicketState.REFUNDED
        assert shop.refunded(number) == ["79.80"]
        assert time.monotonic() - began > 1, "a shipment that was under way is waited for"

        hidden = shop.place([("cup", 1, "5")])
        body = json.dumps({"id": shop.order(hidden)["id"], "number": hidden}).encode()
        assert await told(service, "woocommerce", signed_by_woocommerce(body, secret="no"), body) == 401
        assert await told(service, "woocommerce", signed_by_woocommerce(body, secret=woocommerce.SECRET), body) == 204
        assert await hinted(service, "woocommerce") == [hidden]
        await sync_platforms(service)
        assert (await recorded(service, hidden)).tenders[0].captured_minor == 500
        assert await hinted(service, "woocommerce") == []


async def test_shopify(beside: Beside) -> None:
    shop = shopify.Shop()
    client_secret = shop.client[1]
    async with (
        shopify_server.serving(shop) as server,
        beside.service("shopify", server.url, ":".join(shop.client)) as service,
    ):
        number = shop.place([("cup", 2, "39.90")])
        assert await read_and_paid(service, number) is TicketState.REFUNDED

        hidden = shop.place([("cup", 1, "5")])
        body = json.dumps({"id": int(shop.order(hidden)["id"].rpartition("/")[2])}).encode()
        for secret, status in (("no", 401), (client_secret, 204)):
            assert await told(service, "shopify", signed_by_shopify(body, secret=secret), body) == status
        await sync_platforms(service)
        assert (await recorded(service, hidden)).tenders[0].captured_minor == 500
        assert await hinted(service, "shopify") == []


async def test_saleor(beside: Beside) -> None:
    async with saleor.open_server() as server, beside.service("saleor", server.url, saleor.TOKEN) as service:
        number = server.place()
        await sync_platforms(service)
        done = await asked(service, number)
        assert isinstance(done, Executed), done
        await pay_due(service)
        server.app_reports(number)
        assert [grant["status"] for grant in server.grants(number)] == ["SUCCESS"]

        key, other = (RSAKey.generate_key(2048, {"kid": "1"}) for _ in range(2))
        server.keys = dict(KeySet([key]).as_dict(private=False))
        hidden = server.place()
        body = json.dumps({"order": {"number": hidden}}).encode()
        header = {"alg": "RS256", "kid": "1", "crit": ["b64"], "b64": False}
        for signer, status in ((other, 401), (key, 204)):
            token = serialize_compact(header, body, signer, algorithms=["RS256"])
            assert await told(service, "saleor", {"saleor-signature": token}, body) == status
        assert await hinted(service, "saleor") == [hidden]
        assert server.key_reads == 1, "whoever sends rubbish does not make us ask Saleor each time"


async def test_kuaishou(beside: Beside) -> None:
    async with kuaishou.open_server() as there, beside.service("kuaishou", there.url, WHOLE) as service:
        number = there.place()
        refund_id = there.ask(number)
        await sync_platforms(service)
        assert await pay_due(service) == 1
        assert there.approvals == [refund_id]

        done = await asked(service, str(number))
        assert isinstance(done, Refusal) and done.code is RefusalCode.REFUND_IN_PROGRESS
        assert await told(service, "kuaishou", {}, message()) == 200
        assert await told(service, "kuaishou", {}, b"rubbish") == 401


async def test_a_refund_on_kuaishou_is_asked_for_there(beside: Beside) -> None:
    async with kuaishou.open_server() as there, beside.service("kuaishou", there.url, kuaishou.SECRET) as service:
        number = str(there.place())
        (connected,) = service.platforms.asked_there
        order, deciding = await connected.source.find_order(number), await service.decision_settings()
        assert isinstance(order, PlatformOrder)
        await take_order(service.store, deciding, "kuaishou", "my-shop", order, now=service.clock())
        done = await asked(service, number)
        assert isinstance(done, Refusal) and done.code is RefusalCode.ASKED_AT_PLATFORM
        seen = await check_eligibility_now(service, RefundRequest(order.buyer_id, number))
        assert isinstance(seen, Refusal) and seen.code is RefusalCode.ASKED_AT_PLATFORM


async def test_without_its_key_a_platforms_orders_are_not_decided_on(
    beside: Beside, database_url: str, tmp_path: Path
) -> None:
    """A process that cannot read the key file goes on without it, and so does one after it was disconnected."""
    shop = woocommerce.Shop()
    secret = f"{woocommerce.KEY}:{woocommerce.SECRET}"
    async with woocommerce_server.serving(shop) as server:
        async with beside.service("woocommerce", server.url, secret) as service:
            number = shop.place([("cup", 2, "39.90")])
            await sync_platforms(service)
        (tmp_path / "key").unlink()
        settings = read_settings({"JITUI_HOME": str(tmp_path)})
        for disconnected in (False, True):
            async with open_service(settings, database_url) as without:
                assert set(without.platforms.unopened) == (set() if disconnected else {"woocommerce"})
                done = await asked(without, number)
                assert isinstance(done, Refusal) and done.code is RefusalCode.PLATFORM_UNAVAILABLE
                await without.platforms.connections.remove("woocommerce", by="test", now=without.clock())


async def hinted(service: Service, platform: str) -> list[str]:
    hints = await service.platforms.states.hints(platform, service.clock(), 10)
    return [hint.order_id for hint in hints]
