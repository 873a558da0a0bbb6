"""The audit log: written with what it tells, only appended to; a changed, removed or inserted row is found."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import uuid4

import psycopg
import pytest

from jitui.adapters.postgres.audit import AuditEntry, PostgresAuditLog, write_audit
from jitui.adapters.postgres.keys import PostgresKeys
from jitui.adapters.postgres.links import PostgresLinks
from jitui.adapters.postgres.people import PostgresPeople
from jitui.adapters.postgres.pool import Pool, make_pool
from jitui.adapters.postgres.registry import PostgresRegistry
from jitui.adapters.postgres.second_factors import PostgresSecondFactors
from jitui.aftersales.governance.registry import Coverage, Pause, Restriction, Scope
from jitui.errors import BadInput
from jitui.identity.access import KeyScope, Role
from jitui.identity.audit import (
    FIRST_HASH,
    AuditAction,
    AuditEvent,
    AuditFaultKind,
    AuditVerdict,
    Head,
    hash_of,
    read_noted,
    verify,
)
from jitui.identity.keys import issue_key, roll_key
from jitui.identity.links import make_link, use_link
from jitui.identity.people import Browser, Person, sign_in
from jitui.ids import lane_of, new_id
from tests.aftersales.market import NOW

CHANGED, REMOVED, INSERTED = AuditFaultKind.CHANGED, AuditFaultKind.REMOVED, AuditFaultKind.INSERTED
Found = list[tuple[AuditFaultKind, int, int]]


@dataclass
class Log:
    pool: Pool
    url: str

    @property
    def log(self) -> PostgresAuditLog:
        return PostgresAuditLog(self.pool)

    async def append(self, subject: str, at: datetime = NOW, **detail: object) -> None:
        async with self.pool.connection() as connection:
            await write_audit(connection, AuditEntry(AuditAction.PAUSE_SET, subject, "ada", at, detail))

    async def rows(self) -> list[AuditEvent]:
        found = await self.log.events(actor=None, action=None, subject=None, before=None, limit=1_000)
        return list(reversed(found))

    async def verdict(self, *noted: Head) -> AuditVerdict:
        return await verify(self.log, noted=noted)

    async def faults(self, *noted: Head) -> Found:
        return [(one.kind, one.number, one.last) for one in (await self.verdict(*noted)).faults]

    def tamper(self, statement: str, params: tuple[object, ...] = ()) -> None:
        """As somebody does who owns the database: with the guard switched off."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("ALTER TABLE audit_event DISABLE TRIGGER ALL")
            connection.execute(statement.encode(), params)
            connection.execute("ALTER TABLE audit_event ENABLE TRIGGER ALL")


@pytest.fixture
async def log(database_url: str) -> AsyncIterator[Log]:
    async with make_pool(database_url, max_size=8) as pool:
        yield Log(pool, database_url)


@pytest.fixture
async def ten(log: Log) -> Log:
    """With ten rows."""
    for number in range(1, 11):
        await log.append(f"shop s-{number}", NOW + timedelta(microseconds=number), reason=f'because {number} 中文 " \\')
    assert await log.faults() == []
    return log


async def test_rows_are_numbered_without_gaps_and_each_follows_from_the_one_before(ten: Log) -> None:
    rows = await ten.rows()
    assert [row.number for row in rows] == list(range(1, 11))
    assert [row.previous_hash for row in rows] == [FIRST_HASH, *(row.hash for row in rows[:-1])]
    assert [hash_of(row) for row in rows] == [row.hash for row in rows], "computed here as the database did"
    verdict = await ten.verdict()
    assert (verdict.rows, verdict.head) == (10, Head(10, rows[-1].hash))


async def test_an_empty_log_is_whole(log: Log) -> None:
    assert await log.verdict() == AuditVerdict(0, Head(0, FIRST_HASH), ())


async def test_many_who_append_at_once_take_turns(log: Log) -> None:
    await asyncio.gather(*(log.append(f"place {number}") for number in range(60)))
    verdict = await log.verdict()
    assert (verdict.rows, verdict.faults) == (60, ())


async def test_what_is_rolled_back_leaves_neither_a_row_nor_a_gap(log: Log) -> None:
    await log.append("one")
    with pytest.raises(RuntimeError):
        async with log.pool.connection() as connection:
            await write_audit(connection, AuditEntry(AuditAction.PAUSE_SET, "two", "ada", NOW))
            raise RuntimeError("the change failed")
    await log.append("three")
    assert [(row.number, row.subject) for row in await log.rows()] == [(1, "one"), (2, "three")]
    assert await log.faults() == []


async def test_reading_is_not_disturbed_by_those_who_append_meanwhile(ten: Log) -> None:
    async with ten.log.reading() as reading:
        seen = []
        async for event in reading.events:
            seen.append(event.number)
            if len(seen) == 1:
                await ten.append("meanwhile")
        assert (seen[-1], reading.head.number) == (10, 10)
    verdicts = await asyncio.gather(*(ten.verdict() for _ in range(4)), *(ten.append("more") for _ in range(20)))
    assert [one.faults for one in verdicts if one is not None] == [()] * 4


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_event SET actor = 'eve' WHERE number = 3",
        "UPDATE audit_event SET actor = actor",
        "DELETE FROM audit_event WHERE number = 3",
        "DELETE FROM audit_event WHERE false",
        "TRUNCATE audit_event",
    ],
)
async def test_the_database_refuses_to_change_the_log(ten: Log, statement: str) -> None:
    with psycopg.connect(ten.url) as connection, pytest.raises(psycopg.errors.RaiseException, match="append-only"):
        connection.execute(statement.encode())
    assert await ten.faults() == []


# Tampered with -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        "at = at + interval '1 microsecond'",
        "actor = 'eve'",
        "action = 'pause.lifted'",
        "subject = 'shop s-99'",
        "detail = replace(detail, 'because', 'Because')",
        "detail = detail || ' '",
    ],
)
@pytest.mark.parametrize("number", [1, 5, 10])
async def test_a_changed_row_is_found(ten: Log, change: str, number: int) -> None:
    ten.tamper(f"UPDATE audit_event SET {change} WHERE number = {number}")
    assert await ten.faults() == [(CHANGED, number, number)]


async def test_a_row_that_was_changed_together_with_its_hash_is_found(ten: Log) -> None:
    row = (await ten.rows())[4]
    forged = replace(row, actor="eve")
    ten.tamper("UPDATE audit_event SET actor = 'eve', hash = %s WHERE number = 5", (hash_of(forged),))
    assert await ten.faults() == [(INSERTED, 6, 6)], "the next row does not follow from it"
    ten.tamper("DELETE FROM audit_event WHERE number > 5")
    ten.tamper("UPDATE audit_head SET number = 5")
    assert await ten.faults() == [(CHANGED, 5, 5)], "nor does the end of the log"


@pytest.mark.parametrize(("first", "last"), [(1, 1), (1, 3), (5, 5), (4, 7), (10, 10), (8, 10), (1, 10)])
async def test_removed_rows_are_found(ten: Log, first: int, last: int) -> None:
    ten.tamper(f"DELETE FROM audit_event WHERE number BETWEEN {first} AND {last}")
    assert await ten.faults() == [(REMOVED, first, last)]


async def test_a_removed_row_whose_gap_was_closed_is_found(ten: Log) -> None:
    ten.tamper("DELETE FROM audit_event WHERE number = 5")
    ten.tamper("UPDATE audit_event SET number = number - 1 WHERE number > 5")
    found = await ten.faults()
    assert (INSERTED, 5, 5) in found
    assert (CHANGED, 5, 5) in found
    assert found[-1] == (REMOVED, 10, 10)


def insert(number: int, previous: bytes, *, hashed: bool) -> tuple[str, tuple[object, ...]]:
    forged = AuditEvent(number, NOW, "eve", "pause.lifted", "shop s-1", "{}", previous, b"")
    hash_ = hash_of(forged) if hashed else b"made up"
    statement = "INSERT INTO audit_event VALUES (%s, %s, 'eve', 'pause.lifted', 'shop s-1', '{}', %s, %s)"
    return statement, (number, NOW, previous, hash_)


@pytest.mark.parametrize("hashed", [True, False])
async def test_a_row_that_was_put_behind_the_last_is_found(ten: Log, hashed: bool) -> None:
    last = (await ten.rows())[-1]
    ten.tamper(*insert(11, last.hash, hashed=hashed))
    assert (INSERTED, 11, 11) in await ten.faults()


@pytest.mark.parametrize("number", [0, -3])
async def test_a_row_that_was_put_before_the_first_is_found(ten: Log, number: int) -> None:
    ten.tamper(*insert(number, FIRST_HASH, hashed=True))
    assert (INSERTED, number, number) in await ten.faults()


async def test_a_row_that_was_put_between_two_others_is_found(ten: Log) -> None:
    rows = await ten.rows()
    for number in range(10, 5, -1):
        ten.tamper(f"UPDATE audit_event SET number = {number + 1} WHERE number = {number}")
    ten.tamper(*insert(6, rows[4].hash, hashed=True))
    ten.tamper("UPDATE audit_head SET number = 11")
    found = await ten.faults()
    assert (INSERTED, 7, 7) in found, "the row that stood here does not follow from the new one"
    assert (CHANGED, 7, 7) in found


async def test_a_log_whose_every_hash_was_computed_anew_differs_from_a_head_that_was_noted(ten: Log) -> None:
    rows = await ten.rows()
    noted = [Head(row.number, row.hash) for row in rows]
    previous = rows[2].previous_hash
    for row in rows[2:]:
        forged = replace(row, actor="eve" if row.number == 3 else row.actor, previous_hash=previous)
        previous = hash_of(forged)
        ten.tamper(
            "UPDATE audit_event SET actor = %s, previous_hash = %s, hash = %s WHERE number = %s",
            (forged.actor, forged.previous_hash, previous, row.number),
        )
    ten.tamper("UPDATE audit_head SET hash = %s", (previous,))
    assert await ten.faults() == [], "the log alone cannot tell"
    assert await ten.faults(noted[1]) == [], "before the change all is the same"
    assert await ten.faults(noted[2]) == [(CHANGED, 3, 3)]
    assert await ten.faults(noted[1], noted[9]) == [(CHANGED, 10, 10)]
    assert await ten.faults(Head(12, b"x" * 32)) == [(REMOVED, 12, 12)]


async def test_a_head_is_read_as_it_was_printed(ten: Log) -> None:
    head = (await ten.verdict()).head
    assert read_noted(f" {head}\n") == head
    for wrong in ("", "10", f"{head}0", "x:" + "0" * 64, "-1:" + "0" * 64):
        with pytest.raises(BadInput):
            read_noted(wrong)


async def test_a_log_without_its_end_is_not_taken_for_whole(ten: Log) -> None:
    ten.tamper("DELETE FROM audit_head")
    assert await ten.faults() == [(INSERTED, 1, 1)]
    with pytest.raises(psycopg.errors.NoDataFound):
        await ten.append("more")


# What is written down ------------------------------------------------------------------------------------------------


async def test_everything_that_is_done_to_keys_and_people_is_written_down_with_who_did_it(log: Log) -> None:
    keys, people = PostgresKeys(log.pool), PostgresPeople(log.pool)
    links, factors = PostgresLinks(log.pool), PostgresSecondFactors(log.pool)
    key = (await issue_key(keys, KeyScope.BUYER, "buyer-7", label="app", now=NOW, by="ops")).key.key_id
    new = (await roll_key(keys, key, now=NOW, old_until=NOW, by="ops")).key.key_id
    await keys.revoke(new, by="ops", now=NOW)
    await people.add_person(Person("bo", Role.MERCHANT, "shop-1", "Bo"), None, NOW, by="ops")
    await use_link(links, (await make_link(links, "bo", by="ops", now=NOW)).token, "a long password", now=NOW)
    browser = Browser("192.0.2.1")
    await sign_in(people, "bo", "a long password", browser=browser, now=NOW)
    await people.end_sessions("bo", None, by="bo", now=NOW)
    await people.set_role("bo", Role.RISK, "", by="ops", now=NOW)
    await factors.put_pending("bo", "sealed")
    await factors.confirm("bo", "sealed", 1, [b"one"], now=NOW)
    await factors.use_recovery_code("bo", b"one", now=NOW)
    await factors.replace_recovery_codes("bo", [b"two"], now=NOW)
    await factors.remove("bo", by="ops", now=NOW)
    await people.set_password("bo", "hash", by="bo", now=NOW)
    await people.set_password("bo", None, by="ops", now=NOW)
    await people.set_disabled("bo", True, by="ops", now=NOW)
    await people.set_disabled("bo", False, by="ops", now=NOW)
    rows = await log.rows()
    assert [(row.action, row.subject, row.actor) for row in rows] == [
        ("key.issued", key, "ops"),
        ("key.rolled", key, "ops"),
        ("key.revoked", new, "ops"),
        ("person.added", "bo", "ops"),
        ("person.link_made", "bo", "ops"),
        ("person.link_used", "bo", "bo"),
        ("person.signed_in", "bo", "bo"),
        ("person.sessions_ended", "bo", "bo"),
        ("person.role_changed", "bo", "ops"),
        ("person.second_factor_set_up", "bo", "bo"),
        ("person.recovery_code_used", "bo", "bo"),
        ("person.recovery_codes_renewed", "bo", "bo"),
        ("person.second_factor_removed", "bo", "ops"),
        ("person.password_changed", "bo", "bo"),
        ("person.password_removed", "bo", "ops"),
        ("person.disabled", "bo", "ops"),
        ("person.enabled", "bo", "ops"),
    ]
    assert {row.at for row in rows} == {NOW}
    told = " ".join(row.detail for row in rows)
    assert "buyer-7" not in told and "hash" not in told, "no buyer, no secret: what is written here stays for good"
    assert await log.faults() == []


async def test_what_changed_nothing_is_not_written_down(log: Log) -> None:
    keys, people = PostgresKeys(log.pool), PostgresPeople(log.pool)
    links, factors = PostgresLinks(log.pool), PostgresSecondFactors(log.pool)
    registry = PostgresRegistry(log.pool, "Asia/Shanghai")
    key = (await issue_key(keys, KeyScope.PLATFORM, "", label="", now=NOW)).key.key_id
    await keys.revoke(key, by="ops", now=NOW)
    before = len(await log.rows())
    await keys.revoke(key, by="ops", now=NOW)
    await keys.revoke("nothing", by="ops", now=NOW)
    with pytest.raises(BadInput):
        await roll_key(keys, key, now=NOW, old_until=NOW)
    await people.set_disabled("nobody", True, by="ops", now=NOW)
    await people.set_role("nobody", Role.RISK, "", by="ops", now=NOW)
    await people.set_password("nobody", None, by="ops", now=NOW)
    await people.end_sessions("nobody", None, by="ops", now=NOW)
    await use_link(links, "x" * 43, "a long password", now=NOW)
    await factors.remove("nobody", by="ops", now=NOW)
    await factors.use_recovery_code("nobody", b"", now=NOW)
    await registry.lift_pause(Scope.SHOP, "s-1", by="ops", now=NOW)
    await registry.lift_restriction(uuid4(), NOW, by="ops")
    assert len(await log.rows()) == before


BUYER = "a-buyer-of-no-other-row"  # a short id also stands in one of a thousand random ids and hashes


async def test_what_the_platform_decides_is_written_down(log: Log) -> None:
    registry = PostgresRegistry(log.pool, "Asia/Shanghai")
    restriction = Restriction(new_id(lane_of(BUYER)), BUYER, "Cancels in series.", NOW, None, "risk")
    async with log.pool.connection() as connection:
        await connection.execute(
            "INSERT INTO buyer (lane, buyer_id, updated_at) VALUES (%s, %s, now())", (lane_of(BUYER), BUYER)
        )
    await registry.set_pause(Pause(Scope.SHOP, "s-1", "Moving.", "ada", NOW))
    await registry.lift_pause(Scope.SHOP, "s-1", by="bo", now=NOW)
    await registry.set_coverage(Coverage(Scope.PLATFORM, "", False, "Storm.", "ada", NOW))
    await registry.restrict(restriction)
    await registry.restrict(restriction)
    await registry.lift_restriction(restriction.restriction_id, NOW, by="bo")
    rows = await log.rows()
    assert [(row.action, row.subject, row.actor, row.detail) for row in rows] == [
        ("pause.set", "shop s-1", "ada", '{"reason":"Moving."}'),
        ("pause.lifted", "shop s-1", "bo", "{}"),
        ("coverage.set", "platform", "ada", '{"covered":false,"reason":"Storm."}'),
        ("restriction.set", str(restriction.restriction_id), "risk", '{"ends_at":null}'),
        ("restriction.lifted", str(restriction.restriction_id), "bo", "{}"),
    ]
    assert BUYER not in str(rows), "a buyer can be erased, and this log cannot forget"


async def test_a_change_that_cannot_be_written_down_is_not_made(log: Log) -> None:
    people = PostgresPeople(log.pool)
    await people.add_person(Person("bo", Role.ADMIN, "", "Bo"), None, NOW, by="ops")
    log.tamper("DELETE FROM audit_head")
    with pytest.raises(psycopg.errors.NoDataFound):
        await people.set_disabled("bo", True, by="ops", now=NOW)
    found = await people.find_account("bo")
    assert found is not None and found[0].disabled_at is None


async def test_the_log_is_listed_by_who_what_and_about_what(ten: Log) -> None:
    async def numbers(**wanted: object) -> list[int]:
        named = {"actor": None, "action": None, "subject": None, "before": None, "limit": 100, **wanted}
        return [row.number for row in await ten.log.events(**named)]  # type: ignore[arg-type]

    assert await numbers(limit=3) == [10, 9, 8]
    assert await numbers(before=3) == [2, 1]
    assert await numbers(subject="shop s-4") == [4]
    assert await numbers(actor="eve") == []
    assert await numbers(action="pause.set", limit=1) == [10]
