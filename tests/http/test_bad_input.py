"""For any bad input the response names the field, and nothing is written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from jitui.entrypoints.http.read_body import MAX_BODY_BYTES
from tests.http.api import BUYER, SHOP, Api, money, open_api, order, payment, shipment

pytestmark = pytest.mark.asyncio(loop_scope="module")
TABLES = ("orders", "order_line", "order_directory", "tender", "shipment", "ticket", "refund", "buyer_event", "change")
MAX = 10**15


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    home: Path = tmp_path_factory.mktemp("home")
    async with open_api(module_database_url, home=home) as opened:
        await opened.paid_order("o-1")
        yield opened


async def rows(api: Api) -> list[int]:
    return [await api.count(table) for table in TABLES]


def with_line(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda body: body["lines"][0].update(fields)


def with_fields(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda body: body.update(fields)


def without(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda body: body.pop(name)


def overflowing(body: dict[str, Any]) -> None:
    body["lines"] = [{**body["lines"][0], "line_id": f"l{index}", "paid": money(MAX)} for index in range(2)]


def twice(body: dict[str, Any]) -> None:
    body["lines"] = [body["lines"][0], body["lines"][0]]


def too_many(body: dict[str, Any]) -> None:
    body["lines"] = [
        {"line_id": f"l{index}", "sku": "s", "item_id": "i", "quantity": 1, "paid": money(1)} for index in range(1001)
    ]


ORDERS: list[tuple[str, Callable[[dict[str, Any]], None], str]] = [
    ("no lines", with_fields(lines=[]), "lines"),
    ("lines missing", without("lines"), "lines"),
    ("1,001 lines", too_many, "lines"),
    ("a line twice", twice, "lines[1].line_id"),
    ("unknown field", with_fields(colour="red"), "colour"),
    ("unknown field of a line", with_line(size="M"), "lines[0].size"),
    ("negative amount", with_line(paid=money(-1)), "lines[0].paid.amount_minor"),
    ("amount too large", with_line(paid=money(MAX + 1)), "lines[0].paid.amount_minor"),
    ("amount beyond 64 bits", with_line(paid=money(10**30)), "lines[0].paid.amount_minor"),
    ("amount with a fraction", with_line(paid={"amount_minor": 1.5, "currency": "CNY"}), "lines[0].paid.amount_minor"),
    ("amount as text", with_line(paid={"amount_minor": "1", "currency": "CNY"}), "lines[0].paid.amount_minor"),
    ("amounts that overflow together", overflowing, "lines"),
    ("another currency in a line", with_line(paid=money(1, "USD")), "lines[0].paid.currency"),
    ("another currency in the freight", with_fields(freight=money(1, "USD")), "freight.currency"),
    ("no such currency", with_fields(currency="QQQ"), "currency"),
    ("currency in small letters", with_fields(currency="cny"), "currency"),
    ("quantity zero", with_line(quantity=0), "lines[0].quantity"),
    ("quantity negative", with_line(quantity=-1), "lines[0].quantity"),
    ("quantity true", with_line(quantity=True), "lines[0].quantity"),
    ("time without zone", with_fields(placed_at="2026-06-01T11:00:00"), "placed_at"),
    ("no time", with_fields(placed_at="yesterday"), "placed_at"),
    ("a year that nothing can hold", with_fields(placed_at="0001-01-01T00:00:00+14:00"), "placed_at"),
    ("a far year", with_fields(ship_by="9999-12-31T23:59:59-14:00"), "ship_by"),
    ("unknown hold", with_fields(hold="lost"), "hold"),
    ("id empty", with_fields(buyer_id=""), "buyer_id"),
    ("id of 129 characters", with_fields(buyer_id="x" * 129), "buyer_id"),
    ("id with a space", with_fields(buyer_id="a b"), "buyer_id"),
    ("id with a line feed at its end", with_fields(buyer_id="abc\n"), "buyer_id"),
    ("id that nobody can see", with_fields(shop_id="\u200b"), "shop_id"),
    ("id with NUL", with_fields(shop_id="a\u0000b"), "shop_id"),
    ("NUL in a title", with_line(title="a\u0000b"), "lines[0].title"),
    ("title too long", with_line(title="x" * 501), "lines[0].title"),
    ("null where a value is needed", with_fields(buyer_id=None), "buyer_id"),
    ("funder unknown", with_fields(funding=[{"funder": "bank", "amount": money(1)}]), "funding[0].funder"),
    (
        "funder twice",
        with_fields(funding=[{"funder": "merchant_coupon", "amount": money(1)}] * 2),
        "funding[1].funder",
    ),
    (
        "funding of zero",
        with_fields(funding=[{"funder": "merchant_coupon", "amount": money(0)}]),
        "funding[0].amount.amount_minor",
    ),
]


@pytest.mark.parametrize(("damage", "path"), [(row[1], row[2]) for row in ORDERS], ids=[row[0] for row in ORDERS])
async def test_a_bad_order(api: Api, damage: Callable[[dict[str, Any]], None], path: str) -> None:
    before, body = await rows(api), deepcopy(order())
    damage(body)
    got = await api.put("/v1/orders/o-bad", body)
    assert (got.status_code, got.json()["type"]) == (400, "/problems/invalid-request"), got.text
    assert got.json()["path"] == path
    assert got.headers["content-type"] == "application/problem+json"
    assert await rows(api) == before


async def test_several_faults_are_told_at_once(api: Api) -> None:
    body = order(freight=money(1, "EUR"), placed_at="1950-01-01T00:00:00Z")
    body["lines"] = [body["lines"][0], {**body["lines"][0], "paid": money(1, "JPY")}]
    got = (await api.put("/v1/orders/o-bad", body)).json()
    assert [fault["path"] for fault in got["errors"]] == [
        "placed_at",
        "lines[1].line_id",
        "lines[1].paid.currency",
        "freight.currency",
    ]


FAULTS: list[tuple[str, str, str, Any, list[tuple[str, str]]]] = [
    (
        "several fields",
        "POST",
        "/v1/orders/o-1/payments",
        {"tender_id": "a b", "provider": "Bank", "amount": {"amount_minor": 0, "currency": "cny", "tax": 1}},
        [
            (
                "tender_id",
                "Expected 1 to 128 visible characters, without spaces; it has U+0020 (space) at character 2.",
            ),
            ("provider", "Expected 1 to 64 lower-case letters, digits and underscores, a letter first."),
            ("payment_id", "This field is required."),
            ("amount.amount_minor", f"Expected a whole number from 1 to {MAX}."),
            ("amount.currency", "Expected a currency of ISO 4217, such as CNY."),
            ("amount.tax", "This field is not known here."),
            ("captured_at", "This field is required."),
        ],
    ),
    (
        "in several items of a list",
        "POST",
        "/v1/after-sales",
        {"order_id": 7, "lines": [{"line_id": "l1"}, "l2", {"line_id": "l3", "quantity": "1"}]},
        [
            ("order_id", "Expected 1 to 128 visible characters, without spaces or slashes."),
            ("lines[0].quantity", "This field is required."),
            ("lines[1]", "Expected an object."),
            ("lines[2].quantity", "Expected a whole number from 1 to 1000000000."),
        ],
    ),
    (
        "the values of an enumeration",
        "POST",
        "/v1/pauses",
        {"scope": "galaxy", "reason": ""},
        [
            ("scope", "Expected one of platform, shop, category, item, region."),
            ("reason", "Expected a text of 1 to 500 characters, not only spaces."),
        ],
    ),
    (
        "the values of a word",
        "PUT",
        "/v1/selection/b",
        {"verdict": "maybe", "reason": None},
        [("verdict", "Expected one of allow, deny."), ("reason", "Expected a text of at most 500 characters.")],
    ),
    (
        "in an object of any fields",
        "PUT",
        "/v1/buyers/b",
        {"registered_at": "2026-06-01", "region": 1, "attributes": {"Level": 1, "level": 1.5}},
        [
            ("registered_at", "Expected a time with its zone, such as 2026-06-01T12:00:00+08:00, or null."),
            ("region", "Expected 1 to 128 visible characters, without spaces or slashes, or null."),
            (
                "attributes.Level",
                "Of the name: Expected 1 to 64 lower-case letters, digits and underscores, a letter first.",
            ),
            (
                "attributes.level",
                f"Expected a whole number from {-(2**53)} to {2**53}, or a text of at most 500 characters, "
                "or true or false.",
            ),
        ],
    ),
    (
        "words of spaces and of what nobody sees",
        "POST",
        "/v1/pauses",
        {"scope": "platform", "reason": " \u3000\u200b\n"},
        [("reason", "Expected a text of 1 to 500 characters, not only spaces.")],
    ),
    (
        "words of spaces where they may be left out, and further in",
        "POST",
        "/v1/incidents/i/contest/answer",
        {
            "verdict": "upheld",
            "answer": "The carrier says so.",
            "corrected": {"outcome": "repaid", "reason": " ", "reference": "\t"},
        },
        [
            ("corrected.reason", "Expected a text of 1 to 2000 characters, not only spaces."),
            ("corrected.reference", "Expected a text of at most 500 characters, not only spaces."),
        ],
    ),
    (
        "a list that is empty",
        "POST",
        "/v1/buyers/b/events",
        {"events": []},
        [("events", "Expected a list of 1 to 1000 items.")],
    ),
    (
        "a truth that is a word",
        "PUT",
        "/v1/shops/s/coverage",
        {"covered": "yes", "reason": "r"},
        [("covered", "Expected true or false.")],
    ),
    ("no object at all", "POST", "/v1/pauses", [], [("", "Expected an object.")]),
]


@pytest.mark.parametrize(
    ("method", "path", "body", "faults"), [row[1:] for row in FAULTS], ids=[row[0] for row in FAULTS]
)
async def test_every_fault_of_a_body_is_told_with_its_path_in_plain_words(
    api: Api, method: str, path: str, body: Any, faults: list[tuple[str, str]]
) -> None:
    got = (await api.call(method, path, body, key=api.platform)).json()
    told = got.get("errors") or [{"path": got.get("path", ""), "detail": got["detail"]}]
    assert [(fault["path"], fault["detail"]) for fault in told] == faults
    assert (got.get("path", ""), got["detail"]) == faults[0]


async def test_a_field_that_is_named_twice_is_told_beside_other_faults(api: Api) -> None:
    content = b'{"scope": "galaxy", "reason": "a", "reason": "b\\u0000"}'
    got = (await api.post("/v1/pauses", content=content)).json()
    assert [(fault["path"], fault["detail"]) for fault in got["errors"]] == [
        ("reason", "This field is named twice"),
        ("reason", "A NUL character cannot be stored"),
        ("scope", "Expected one of platform, shop, category, item, region."),
    ]


async def test_every_fault_of_a_query_is_told(api: Api) -> None:
    got = (await api.get("/v1/tasks?state=lost&limit=0&colour=red")).json()
    assert [(fault["path"], fault["detail"]) for fault in got["errors"]] == [
        ("state", "Expected one of open, resolved, or null."),
        ("limit", "Expected a whole number from 1 to 200."),
        ("colour", "This field is not known here."),
    ]


async def test_at_most_a_hundred_faults_are_told(api: Api) -> None:
    lines = [{"line_id": "l1", "quantity": 0}] * 150
    got = (await api.post("/v1/after-sales", {"order_id": "o-1", "buyer_id": BUYER, "lines": lines})).json()
    assert len(got["errors"]) == 100


OTHERS: list[tuple[str, str, str, Any, str]] = [
    ("payment of zero", "POST", "/v1/orders/o-1/payments", payment("o-1", 0), "amount.amount_minor"),
    ("payment negative", "POST", "/v1/orders/o-1/payments", payment("o-1", -5), "amount.amount_minor"),
    ("payment too large", "POST", "/v1/orders/o-1/payments", payment("o-1", MAX + 1), "amount.amount_minor"),
    ("provider in capitals", "POST", "/v1/orders/o-1/payments", payment("o-1", provider="Bank"), "provider"),
    ("degree unknown", "POST", "/v1/orders/o-1/shipments", shipment("lost"), "degree"),
    ("no waybill", "POST", "/v1/orders/o-1/shipments", shipment(tracking_no=""), "tracking_no"),
    ("time of year 1", "POST", "/v1/orders/o-1/completion", {"completed_at": "0001-01-01T00:00:00Z"}, "completed_at"),
    ("no order", "POST", "/v1/after-sales", {"buyer_id": BUYER}, "order_id"),
    ("no buyer", "POST", "/v1/after-sales", {"order_id": "o-1"}, "buyer_id"),
    ("reason unknown", "POST", "/v1/after-sales", {"order_id": "o-1", "buyer_id": BUYER, "reason": "ugly"}, "reason"),
    (
        "units twice",
        "POST",
        "/v1/after-sales",
        {"order_id": "o-1", "buyer_id": BUYER, "lines": [{"line_id": "l1", "quantity": 1}] * 2},
        "lines[1].line_id",
    ),
    ("body is a list", "POST", "/v1/after-sales", [], ""),
    ("no body", "POST", "/v1/after-sales", None, ""),
    ("no events", "POST", "/v1/buyers/b/events", {"events": []}, "events"),
    (
        "event twice",
        "POST",
        "/v1/buyers/b/events",
        {"events": [{"event_id": "e", "kind": "k", "at": "2026-01-01T00:00:00Z"}] * 2},
        "events[1].event_id",
    ),
    ("attribute of no kind", "PUT", "/v1/buyers/b", {"attributes": {"level": 1.5}}, "attributes.level"),
    ("attribute beyond 64 bits", "PUT", "/v1/buyers/b", {"attributes": {"level": 2**60}}, "attributes.level"),
    ("id in the address", "PUT", "/v1/buyers/a%20b", {}, "buyer_id"),
    ("NUL in the address", "PUT", "/v1/shops/a%00b", {}, "shop_id"),
    ("kind in the address", "PUT", "/v1/history/Order-Paid", {"complete_from": "2020-01-01T00:00:00Z"}, "kind"),
    (
        "ref of the platform",
        "PUT",
        "/v1/coverage",
        {"scope": "platform", "ref": "x", "covered": True, "reason": "r"},
        "ref",
    ),
    ("ref missing", "POST", "/v1/pauses", {"scope": "shop", "reason": "r"}, "ref"),
    ("scope unknown", "POST", "/v1/pauses", {"scope": "galaxy", "reason": "r"}, "scope"),
    (
        "end before start",
        "POST",
        "/v1/restrictions",
        {"buyer_id": "b", "reason": "r", "ends_at": "2020-01-01T00:00:00Z"},
        "ends_at",
    ),
    ("withdraws nothing", "POST", "/v1/restrictions", {"buyer_id": "b", "reason": "r", "withdraw": "all"}, "withdraw"),
    (
        "no words",
        "POST",
        "/v1/appeals",
        {"restriction_id": "0197312a-7400-7a15-b244-a3b4c5d6e73c", "buyer_id": "b", "text": " "},
        "text",
    ),
    (
        "too many words",
        "POST",
        "/v1/appeals",
        {"restriction_id": "0197312a-7400-7a15-b244-a3b4c5d6e73c", "buyer_id": "b", "text": "x" * 2001},
        "text",
    ),
    (
        "no reason",
        "POST",
        "/v1/appeals/0197312a-7600-7a18-9577-d6e7f8090a3c/decide",
        {"verdict": "upheld", "reason": " "},
        "reason",
    ),
    ("verdict unknown", "PUT", "/v1/selection/b", {"verdict": "maybe"}, "verdict"),
]


@pytest.mark.parametrize(("method", "path", "body", "at"), [row[1:] for row in OTHERS], ids=[row[0] for row in OTHERS])
async def test_other_bad_bodies(api: Api, method: str, path: str, body: Any, at: str) -> None:
    before = await rows(api)
    got = await api.call(method, path, body, key=api.platform)
    assert (got.status_code, got.json().get("path", "")) == (400, at), got.text
    assert await rows(api) == before


QUERIES = [
    ("/v1/after-sales?limit=0", "limit"),
    ("/v1/after-sales?limit=201", "limit"),
    ("/v1/after-sales?limit=ten", "limit"),
    ("/v1/after-sales?state=lost", "state"),
    ("/v1/after-sales?colour=red", "colour"),
    ("/v1/after-sales?limit=1&limit=2", "limit"),
    ("/v1/after-sales?shop_id=a%00b", "shop_id"),
    ("/v1/after-sales?shop_id=%FF", ""),
    ("/v1/after-sales?requested_from=2026-06-01T00:00:00", "requested_from"),
    ("/v1/after-sales?requested_from=0001-01-01T00:00:00Z", "requested_from"),
    ("/v1/after-sales?cursor=nonsense", "cursor"),
    ("/v1/after-sales?cursor=WyIyMDI2LTA2LTAxVDEyOjAwOjAwWiIsIm8tMTAwMSJd", "cursor"),
    ("/v1/orders?cursor=%21%21", "cursor"),
    ("/v1/changes?after=5", "after"),
    ("/v1/changes?wait_seconds=31", "wait_seconds"),
    ("/v1/restrictions", "buyer_id"),
    ("/v1/history?x=1", "x"),
]


@pytest.mark.parametrize(("path", "at"), QUERIES)
async def test_bad_queries(api: Api, path: str, at: str) -> None:
    got = await api.get(path)
    assert (got.status_code, got.json().get("path", "")) == (400, at), got.text


BROKEN = [
    (b'{"order_id": "o-1",\n bad}', "byte 21 (line 2, column 2)"),
    (b"", "required"),
    (b"{", "byte 1"),
    (b'{"order_id": "o-1"} x', "byte 20"),
    (b"\xff\xfe{}", "byte 0"),
    (b'{"order_id": "\xff"}', "not UTF-8"),
    (b'{"order_id": "\\ud800"}', "Broken JSON"),
    (b'{"order_id": "a\x00b", "buyer_id": "b"}', "byte 15"),
    (b"[" * 200_000, "Expected an object"),
    (b'{"lines":' + b"[" * 200_000, "lines[0]"),
    (b'{"lines":[{"quantity":' + b"9" * 5000 + b"}]}", "lines[0].quantity"),
    (b'{"order_id": 7, bad}', "Broken JSON"),
]


@pytest.mark.parametrize(("content", "says"), BROKEN, ids=[repr(row[0][:20]) for row in BROKEN])
async def test_broken_json_is_told_with_its_position(api: Api, content: bytes, says: str) -> None:
    before = await rows(api)
    got = await api.post("/v1/after-sales", content=content)
    assert got.status_code == 400
    assert says in got.text
    assert await rows(api) == before


async def test_only_json_is_read(api: Api) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx"):
        got = await api.post("/v1/after-sales", content=b"{}", headers={"content-type": kind})
        assert (got.status_code, got.json()["type"]) == (415, "/problems/unsupported-media-type")
    good = {"content-type": "Application/JSON; charset=utf-8"}
    assert (await api.post("/v1/after-sales", content=b"{}", headers=good)).json()["path"] == "order_id"


async def test_a_body_that_is_too_large_is_not_read_to_its_end(api: Api) -> None:
    before = await rows(api)
    line = msgspec.json.encode(order()["lines"][0])
    asked: list[int] = []

    async def a_million_lines() -> AsyncIterator[bytes]:
        yield b'{"buyer_id": "b", "shop_id": "s", "currency": "CNY", "placed_at": "2026-06-01T00:00:00Z", "lines": ['
        for index in range(1_000_000):
            asked.append(index)
            yield line + b","

    headers = {"authorization": f"Bearer {api.platform}", "content-type": "application/json"}
    got = await api.client.put("/v1/orders/o-bad", content=a_million_lines(), headers=headers)
    assert (got.status_code, got.json()["type"]) == (413, "/problems/body-too-large")
    assert len(asked) < 2 * MAX_BODY_BYTES / len(line)
    announced = await api.put("/v1/orders/o-bad", content=b"[" * (MAX_BODY_BYTES + 1))
    assert announced.status_code == 413
    assert await rows(api) == before


async def test_a_thousand_lines_are_taken(api: Api) -> None:
    body = order(buyer_id="buyer-large")
    body["lines"] = [{**body["lines"][0], "line_id": f"l{index}", "paid": money(1)} for index in range(1000)]
    assert (await api.put("/v1/orders/o-large", body)).status_code == 201


async def test_addresses_and_methods_that_do_not_exist(api: Api) -> None:
    missing = await api.get("/v1/nothing")
    assert (missing.status_code, missing.json()["type"]) == (404, "/problems/not-found")
    wrong = await api.delete("/v1/orders/o-1")
    assert (wrong.status_code, wrong.json()["type"]) == (405, "/problems/method-not-allowed")
    assert "PUT" in wrong.headers["allow"]


async def test_ids_in_addresses_that_cannot_exist_are_not_found(api: Api) -> None:
    for path in (
        "/v1/orders/a%20b",
        "/v1/orders/%00",
        "/v1/after-sales/nonsense",
        "/v1/after-sales/{00000000-0000-0000-0000-000000000000}",
        "/v1/refunds/0",
        f"/v1/shops/{'x' * 129}",
        "/v1/buyers/%00",
    ):
        assert (await api.get(path)).status_code == 404, path


@pytest.mark.parametrize("value", ["-1", "1.5", "soon", "600001", "٣", ""])
async def test_a_bad_deadline(api: Api, value: str) -> None:
    headers = {"jitui-deadline-ms": value}
    got = await api.post("/v1/after-sales", {"order_id": "o-1", "buyer_id": BUYER}, headers=headers)
    assert (got.status_code, got.json()["path"]) == (400, "Jitui-Deadline-Ms")
    assert await api.count("ticket") == 0


async def test_a_shop_cannot_opt_out(api: Api) -> None:
    """R13."""
    got = await api.put(f"/v1/shops/{SHOP}/coverage", {"covered": False, "reason": "No."}, key=api.shop)
    assert (got.status_code, got.json()["type"]) == (403, "/problems/shop-cannot-opt-out")
    assert await api.count("coverage") == 0
