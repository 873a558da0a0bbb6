"""Linked accounts over HTTP: hashes alone, read by the platform and by nobody else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.governance.test_linked_accounts import reading
from tests.http.api import BUYER, Api
from tests.publishing import put_in_force

HASH = "ab" * 32


def sent(value: str = HASH, kind: str = "device") -> dict[str, Any]:
    return {"links": [{"kind": kind, "hash": value, "seen_at": "2026-05-01T00:00:00Z"}]}


async def test_the_platform_adds_links_and_reads_the_cluster(api: Api) -> None:
    for buyer in ("b-1", "b-2"):
        got = await api.post(f"/v1/buyers/{buyer}/identity-links", sent())
        assert (got.status_code, got.json()) == (200, {"recorded": 1})
    assert (await api.post("/v1/buyers/b-1/identity-links", sent())).json() == {"recorded": 0}
    await api.service.linked_accounts.join_new(api.now())
    found = (await api.get("/v1/buyers/b-1/identity-links")).json()
    assert (set(found["members"]), found["links"][0]["buyers"], found["links"][0]["links"]) == ({"b-1", "b-2"}, 2, True)
    assert (await api.get("/v1/buyers/nobody/identity-links")).status_code == 404


@pytest.mark.parametrize(
    "value", ["+49 170 1234567", "a" * 31, "a" * 129, "Main Street 12 in a town of no name", HASH + "\n"]
)
async def test_what_looks_raw_is_refused(api: Api, value: str) -> None:
    got = await api.post("/v1/buyers/b-1/identity-links", sent(value))
    assert got.status_code in (400, 422), got.text
    assert "links[0].hash" in got.text


async def test_buyers_and_merchants_read_nothing_of_it(api: Api) -> None:
    for key in (api.buyer, api.shop):
        assert (await api.get(f"/v1/buyers/{BUYER}/identity-links", key=key)).status_code == 403
        assert (await api.post(f"/v1/buyers/{BUYER}/identity-links", sent(), key=key)).status_code == 403
    policy = reading("buyer.cluster_size < 1")
    await put_in_force(api.service.policies, policy, by="test", now=api.now())
    await api.paid_order("o-1", paid=12900)
    ticket = (await api.ask("o-1"))["ticket"]
    path = f"/v1/after-sales/{ticket['ticket_id']}/decision"
    assert "cluster" in (await api.get(path)).text
    for key in (api.buyer, api.shop):
        shown = (await api.get(path, key=key)).text
        assert "Linked" in shown and "cluster" not in shown
