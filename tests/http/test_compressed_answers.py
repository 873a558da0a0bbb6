"""Stored responses are compressed where every program can read that; what was stored plain is replayed as before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg

from jitui.adapters.postgres.migrate import READS_COMPRESSED, standing
from jitui.adapters.postgres.personal_data import PostgresPersonalData
from jitui.aftersales.commands.execute import IdempotentReply
from jitui.aftersales.commands.request_refund import RefundRequest, request_refund
from jitui.aftersales.outcomes import IdempotencyKey, StoredResponse
from tests.http.api import BUYER, Api, open_api

NAMES = ("o-1", "o-2", "o-3")


async def asked(api: Api, order_id: str) -> bytes:
    got = await api.post(
        "/v1/after-sales", {"order_id": order_id, "buyer_id": BUYER}, headers={"idempotency-key": f"ask-{order_id}"}
    )
    assert got.status_code == 201, got.text
    return got.content


def stored(database_url: str) -> dict[str, tuple[bytes, int | None]]:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT key, answer, dictionary_id FROM idempotency").fetchall()
    return {key: (bytes(answer), dictionary_id) for key, answer, dictionary_id in rows}


def dictionaries(database_url: str) -> list[bytes]:
    with psycopg.connect(database_url) as connection:
        return [bytes(one) for (one,) in connection.execute("SELECT content FROM answer_dictionary")]


async def asked_for_all(api: Api) -> dict[str, bytes]:
    for name in NAMES:
        await api.paid_order(name)
    return {name: await asked(api, name) for name in NAMES}


async def test_the_first_answer_by_a_policy_is_plain_and_the_next_ones_are_a_sixth_of_it(
    api: Api, database_url: str
) -> None:
    first = await asked_for_all(api)
    kept = stored(database_url)
    assert kept["ask-o-1"] == (first["o-1"], None)
    for name in NAMES[1:]:
        answer, dictionary_id = kept[f"ask-{name}"]
        assert dictionary_id is not None
        assert len(answer) * 6 < len(first[name]), "the dictionary still fits what the API answers"
    assert {name: await asked(api, name) for name in NAMES} == first
    assert await api.count("ticket") == 3


async def test_another_process_reads_them_and_makes_no_second_dictionary(
    api: Api, database_url: str, tmp_path: Path
) -> None:
    first = await asked_for_all(api)
    async with open_api(database_url, home=tmp_path / "other") as other:
        assert {name: await asked(_as(other, api), name) for name in NAMES} == first
        await api.paid_order("o-4")
        await asked(other, "o-4")
        await api.paid_order("o-5")
        await asked(other, "o-5")
    assert stored(database_url)["ask-o-5"][1] is not None
    assert len(dictionaries(database_url)) == 1


async def test_a_later_answer_on_the_ticket_is_compressed_too(api: Api, database_url: str) -> None:
    ticket = await api.reviewed("o-9", buyer_id="buyer-2")
    await asked_for_all(api)
    headers = {"idempotency-key": "approve", "if-match": '"1"'}
    first = await api.post(f"/v1/after-sales/{ticket['ticket_id']}/approve", headers=headers)
    again = await api.post(f"/v1/after-sales/{ticket['ticket_id']}/approve", headers=headers)
    assert first.status_code == 200 and again.content == first.content
    assert stored(database_url)["approve"][1] is not None


async def test_the_dictionary_says_nothing_of_who_asked_and_for_what(api: Api, database_url: str) -> None:
    first = await asked_for_all(api)
    (content,) = dictionaries(database_url)
    said = first["o-1"].decode()
    assert "12900" in said and BUYER in said and "o-1" in said
    for personal in (b"12900", BUYER.encode(), b"o-1", b"2026-", b"pay-"):
        assert personal not in content


async def test_answers_stay_plain_while_a_program_of_before_may_read_them(api: Api, database_url: str) -> None:
    assert standing(database_url).needs == READS_COMPRESSED, "a new database was never an earlier program's"
    with psycopg.connect(database_url) as connection:
        connection.execute("COMMENT ON TABLE alembic_version IS '0044'")
    first = await asked_for_all(api)
    assert stored(database_url) == {f"ask-{name}": (first[name], None) for name in NAMES}
    assert dictionaries(database_url) == []
    assert {name: await asked(api, name) for name in NAMES} == first


async def test_the_export_shows_both_forms_as_they_were_sent(api: Api, database_url: str) -> None:
    first = await asked_for_all(api)
    found: Any = await PostgresPersonalData(api.market.pool).export(BUYER, by="tests", now=api.now())
    shown = {one["key"]: one["answer"] for one in found["stored_responses"]}
    assert shown == {f"ask-{name}": first[name].decode() for name in NAMES}
    assert all("dictionary" not in one for one in found["stored_responses"])


async def test_an_answer_that_would_not_be_smaller_is_stored_plain(api: Api, database_url: str) -> None:
    for name in NAMES:
        await api.paid_order(name)
        reply = IdempotentReply(
            IdempotencyKey("key", "route", name, b"body"), lambda _: StoredResponse(201, b"{}", api.now())
        )
        settings, asks = api.market.decision_settings, RefundRequest(BUYER, name)
        await request_refund(api.service.store, settings, asks, now=api.now(), reply=reply)
    assert dictionaries(database_url) == [b"{}"]
    assert stored(database_url) == dict.fromkeys(NAMES, (b"{}", None))


def _as(other: Api, api: Api) -> Api:
    """The other process, asked with the first one's API key, to which its Idempotency-Keys belong."""
    return replace(other, platform=api.platform)
