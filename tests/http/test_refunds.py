"""Refunds over the API: found, paged, read, sent again, settled by one person or by two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from jitui.aftersales.commands.refund_updates import RefundUpdate, confirm
from jitui.aftersales.ports import AttemptRef, ClaimedRefund
from jitui.aftersales.provider import RefundResult, RefundResultKind
from jitui.identity.access import KeyScope
from jitui.identity.keys import issue_key, roll_key
from tests.http.api import BUYER, SHOP, Api, money, with_providers

PAYOUT = {"reference": "BANK-7", "note": "By hand.", "amount": money(12900)}
DECLINED = RefundResult(RefundResultKind.DECLINED, reason="card closed")


async def claim(api: Api) -> Sequence[ClaimedRefund]:
    now = api.now()
    return await api.market.store.claim_refunds(now=now, lease_until=now + timedelta(seconds=60), limit=9)


async def tell(api: Api, claimed: ClaimedRefund, result: RefundResult = DECLINED) -> None:
    ref = AttemptRef(claimed.lane, claimed.attempt.attempt_id)
    await confirm(api.market.store, ref, RefundUpdate(result), now=api.now())


async def refunding(api: Api, *names: str, shop_id: str = SHOP) -> list[str]:
    """Approved refunds, a minute apart, the oldest first; their ids."""
    found = []
    for name in names:
        api.now.later(seconds=61)
        await api.market.feed.roll_up(api.now())
        await api.paid_order(name, shop_id=shop_id)
        ticket = (await api.ask(name))["ticket"]
        assert ticket["state"] == "refunding", ticket
        found.append(ticket["refunds"][0]["refund_id"])
    return found


async def failed(api: Api) -> str:
    (refund_id,) = await refunding(api, "o-1")
    (claimed,) = await claim(api)
    await tell(api, claimed)
    return refund_id


async def ids(api: Api, query: str = "", **more: Any) -> list[str]:
    await api.market.refund_list.fill()
    got = await api.get(f"/v1/refunds{query}", **more)
    assert got.status_code == 200, got.text
    return [row["refund_id"] for row in got.json()["refunds"]]


# Finding -----------------------------------------------------------------------------------------------------------


async def test_refunds_are_found_by_what_an_operator_asks_for(api: Api) -> None:
    first, second = await refunding(api, "o-1", "o-2")
    (third,) = await refunding(api, "o-3", shop_id="shop-2")
    claims = {str(one.refund.refund_id): one for one in await claim(api)}
    await tell(api, claims[second])
    assert await ids(api) == [third, second, first]
    assert await ids(api, "?state=failed") == [second]
    assert await ids(api, "?state=sending") == [third, first]
    assert await ids(api, "?provider=simulator&state=failed") == [second]
    assert await ids(api, "?provider=stripe") == []
    assert await ids(api, "?order_id=o-1") == [first]
    assert await ids(api, "?shop_id=shop-2") == [third]
    assert await ids(api, f"?buyer_id={BUYER}&shop_id={SHOP}") == [second, first]
    assert await ids(api, "?buyer_id=buyer-2") == []
    moment = (await api.get(f"/v1/refunds/{second}")).json()["queued_at"]
    assert await ids(api, f"?queued_before={moment}") == [first]
    assert (await api.get("/v1/refunds?queued_before=1900-01-01T00:00:00Z")).json()["path"] == "queued_before"
    assert (await api.get("/v1/refunds?state=lost")).status_code == 400


async def test_a_list_goes_on_where_the_page_before_ended(api: Api) -> None:
    all_of_them = list(reversed(await refunding(api, "o-1", "o-2", "o-3")))
    await api.market.refund_list.fill()
    first = (await api.get("/v1/refunds?limit=2")).json()
    rest = (await api.get(f"/v1/refunds?limit=2&cursor={first['next']}")).json()
    assert [row["refund_id"] for page in (first, rest) for row in page["refunds"]] == all_of_them
    assert rest["next"] is None
    assert (await api.get("/v1/refunds?limit=3")).json()["next"] is None
    assert (await api.get("/v1/refunds?cursor=nonsense")).json()["path"] == "cursor"


async def test_a_list_is_sorted_and_says_how_late_it_is(api: Api) -> None:
    first, second, third = await refunding(api, "o-1", "o-2", "o-3")
    (claimed,) = [one for one in await claim(api) if str(one.refund.refund_id) == second]
    await tell(api, claimed)
    assert await ids(api, "?sort=state") == [third, first, second]
    assert await ids(api, "?sort=amount&order=asc") == sorted([first, second, third])
    for sort in ("queued_at", "amount", "state"):
        for key in (api.platform, api.shop):
            walked, cursor = [], ""
            while cursor is not None:
                got = (await api.get(f"/v1/refunds?sort={sort}&order=asc&limit=1{cursor}", key=key)).json()
                walked += [row["refund_id"] for row in got["refunds"]]
                cursor = got["next"] and f"&cursor={got['next']}"
            assert sorted(walked) == sorted([first, second, third]), (sort, walked)
    page = (await api.get("/v1/refunds?sort=state&order=asc&limit=1")).json()
    assert page["lag_ms"] > 0 and page["as_of"] < api.now().isoformat()
    assert (page["refunds"][0]["shop_id"], page["refunds"][0]["approved_by"]) == (SHOP, "instant_refund")
    for other in ("sort=amount&order=asc", "sort=state&order=desc", ""):
        got = await api.get(f"/v1/refunds?{other}&cursor={page['next']}")
        assert (got.status_code, got.json()["path"]) == (400, "cursor"), other
    of_order = (await api.get("/v1/refunds?order_id=o-1")).json()
    assert of_order["lag_ms"] == 0
    assert await ids(api, "?approved_by=instant_refund") == [third, second, first]
    assert await ids(api, "?approved_by=merchant") == []
    moment = (await api.get(f"/v1/refunds/{second}")).json()["queued_at"]
    assert await ids(api, f"?queued_from={moment}") == [third, second]


async def test_no_sort_and_no_filter_shows_a_shop_anothers_refund(api: Api) -> None:
    (own,) = await refunding(api, "o-1")
    await refunding(api, "o-2", shop_id="shop-2")
    for query in (
        "?sort=amount",
        "?sort=state",
        "?approved_by=instant_refund",
        f"?buyer_id={BUYER}",
        "?provider=simulator",
    ):
        assert await ids(api, query, key=api.shop) == [own], query
    assert await ids(api, "?order_id=o-2", key=api.shop) == []


async def test_a_shop_and_a_buyer_list_their_own_without_reasons(api: Api) -> None:
    refund_id = await failed(api)
    await refunding(api, "o-2", shop_id="shop-2")
    await api.market.refund_list.fill()
    assert (await api.get("/v1/refunds?state=failed")).json()["refunds"][0]["reason"] == "card closed"
    for key in (api.shop, api.buyer):
        got = (await api.get("/v1/refunds?state=failed", key=key)).json()["refunds"]
        assert [(row["refund_id"], row["reason"]) for row in got] == [(refund_id, "")]
    assert await ids(api, key=api.shop) == [refund_id]
    assert len(await ids(api, key=api.buyer)) == 2
    assert (await api.get("/v1/refunds?shop_id=shop-2", key=api.shop)).status_code == 404


# Reading -----------------------------------------------------------------------------------------------------------


async def actions(api: Api, refund_id: str) -> list[str]:
    found: list[str] = (await api.get(f"/v1/refunds/{refund_id}")).json()["actions"]
    return found


async def test_what_can_be_done_is_told_with_the_refund(api: Api) -> None:
    (refund_id,) = await refunding(api, "o-1")
    assert await actions(api, refund_id) == []
    (claimed,) = await claim(api)
    await tell(api, claimed, RefundResult(RefundResultKind.PENDING, "held", stuck=True))
    assert await actions(api, refund_id) == ["settle"], "the provider may still pay it: nothing is sent again"
    await tell(api, claimed)
    assert await actions(api, refund_id) == ["retry", "settle"]
    for key in (api.shop, api.buyer):
        got = (await api.get(f"/v1/refunds/{refund_id}", key=key)).json()
        assert (got["actions"], got["attempts"], got["reason"]) == ([], [], "")
    elsewhere = with_providers(api)
    assert await actions(elsewhere, refund_id) == ["settle"], "its provider is not configured"


async def test_a_refund_that_waits_for_a_provider_that_is_not_configured_can_be_settled(api: Api) -> None:
    (refund_id,) = await refunding(api, "o-1")
    elsewhere = with_providers(api)
    assert await actions(elsewhere, refund_id) == ["settle"]
    done = await elsewhere.post(f"/v1/refunds/{refund_id}/settle-manually", PAYOUT)
    assert (done.status_code, done.json()["state"]) == (200, "refunded")
    assert await claim(api) == []


async def test_a_retry_through_a_provider_that_is_not_configured_is_refused(api: Api) -> None:
    refund_id = await failed(api)
    got = await with_providers(api).post(f"/v1/refunds/{refund_id}/retry")
    assert (got.status_code, got.json()["type"]) == (422, "/problems/provider-not-configured")


# Two persons -------------------------------------------------------------------------------------------------------


@dataclass
class TwoPersons:
    """Everything by hand takes two; `first` and `second` are platform keys."""

    api: Api
    refund_id: str
    first: str
    second: str

    async def do(self, what: str, body: Any, key: str, **headers: str) -> Any:
        path = f"/v1/refunds/{self.refund_id}/{what}"
        return await self.api.post(path, body, key=key, headers=headers)

    async def refund(self) -> Any:
        return (await self.api.get(f"/v1/refunds/{self.refund_id}")).json()


async def two_persons(api: Api) -> TwoPersons:
    refund_id = await failed(api)
    strict = replace(api.service, settings=replace(api.service.settings, settle_alone_up_to=()))
    keys = [
        (await issue_key(api.service.keys, KeyScope.PLATFORM, "", label=label, now=api.now())).secret
        for label in ("li.na", "wang.wei")
    ]
    return TwoPersons(with_providers(replace(api, service=strict), **api.service.providers), refund_id, *keys)


async def test_above_the_limit_the_first_call_proposes_and_another_key_confirms(api: Api) -> None:
    two = await two_persons(api)
    proposed = await two.do("settle-manually", PAYOUT, two.first)
    assert (proposed.status_code, proposed.json()["state"]) == (202, "refund_failed")
    shown = await two.refund()
    assert (shown["state"], shown["proposal"]["by"], shown["settlement"]) == ("failed", "li.na", None)
    assert shown["actions"] == ["confirm", "reject"]

    own = await two.do("confirm-settlement", {"reference": "BANK-7"}, two.first)
    assert (own.status_code, own.json()["type"]) == (403, "/problems/second-person-needed")
    other = await two.do("confirm-settlement", {"reference": "BANK-8"}, two.second)
    assert (other.status_code, other.json()["path"]) == (422, "reference")
    done = await two.do("confirm-settlement", {"reference": "BANK-7"}, two.second)
    assert (done.status_code, done.json()["state"]) == (200, "refunded")
    shown = await two.refund()
    assert (shown["settlement"]["by"], shown["settlement"]["confirmed_by"]) == ("li.na", "wang.wei")
    again = await two.do("confirm-settlement", {"reference": "BANK-7"}, two.second)
    assert again.json()["type"] == "/problems/refund-not-failed"


async def test_a_repeated_proposal_gets_the_first_answer_again(api: Api) -> None:
    two = await two_persons(api)
    first, again = [await two.do("settle-manually", PAYOUT, two.first, **{"idempotency-key": "k"}) for _ in range(2)]
    assert (again.status_code, again.content) == (202, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    without = await two.do("settle-manually", PAYOUT, two.first)
    assert (without.status_code, without.json()["type"]) == (403, "/problems/second-person-needed")
    another = await two.do("settle-manually", PAYOUT, two.second)
    assert (another.status_code, another.json()["type"]) == (409, "/problems/settlement-proposed")
    retried = await two.do("retry", None, two.second)
    assert retried.json()["type"] == "/problems/settlement-proposed"


async def test_a_key_that_is_rolled_makes_no_second_person(api: Api) -> None:
    """Without a label a key is who acts; its successor is the same."""
    two = await two_persons(api)
    now = api.now()
    first = await issue_key(api.service.keys, KeyScope.PLATFORM, "", label="", now=now)
    rolled = await roll_key(api.service.keys, first.key.key_id, now=now, old_until=now + timedelta(days=1))
    assert (await two.do("settle-manually", PAYOUT, first.secret)).status_code == 202
    own = await two.do("confirm-settlement", {"reference": "BANK-7"}, rolled.secret)
    assert (own.status_code, own.json()["type"]) == (403, "/problems/second-person-needed")
    assert (await two.do("confirm-settlement", {"reference": "BANK-7"}, two.second)).status_code == 200


async def test_a_rejected_proposal_is_told_to_the_platform_alone(api: Api) -> None:
    two = await two_persons(api)
    await two.do("settle-manually", PAYOUT, two.first)
    assert (await two.do("reject-settlement", {"note": ""}, two.second)).status_code == 400
    done = await two.do("reject-settlement", {"note": "The bank knows no such transfer."}, two.second)
    assert (done.status_code, done.json()["state"]) == (200, "refund_failed")
    assert (await two.refund())["actions"] == ["retry", "settle"]
    gone = await two.do("reject-settlement", {"note": "No."}, two.second)
    assert (gone.status_code, gone.json()["type"]) == (409, "/problems/settlement-not-proposed")
    path = f"/v1/after-sales/{done.json()['ticket_id']}"
    steps = (await two.api.get(path)).json()["timeline"][-2:]
    assert [(step["why"], step["actor_id"]) for step in steps] == [
        ("settlement_proposed", "li.na"),
        ("settlement_rejected", "wang.wei"),
    ]
    assert steps[1]["detail"]["note"] == "The bank knows no such transfer."
    for key in (api.buyer, api.shop):
        told = (await two.api.get(path, key=key)).text
        assert "settlement_rejected" in told
        assert not [word for word in ("li.na", "wang.wei", "no such transfer", "By hand.") if word in told]


async def test_a_refund_that_does_not_exist_is_404_everywhere(api: Api) -> None:
    for refund_id in ("nonsense", "0197312a-6c40-7a13-8e22-5f60718293a4"):
        path = f"/v1/refunds/{refund_id}"
        assert (await api.get(path)).status_code == 404
        for what, body in (
            ("retry", None),
            ("settle-manually", PAYOUT),
            ("confirm-settlement", {"reference": "BANK-7"}),
            ("reject-settlement", {"note": "No."}),
        ):
            assert (await api.post(f"{path}/{what}", body)).status_code == 404, what
