"""Puts a policy in force in a test's database, which is an installation for one person."""

from __future__ import annotations

from datetime import datetime

from jitui.adapters.postgres.pool import Connection
from jitui.aftersales.governance.policies import NewPublication, Policies, install, text_of
from jitui.aftersales.governance.publication import Authority, LogAction, LogEntry, Stage
from jitui.policy import Policy, public_view


async def put_in_force(policies: Policies, policy: Policy, *, by: str = "tests", now: datetime) -> None:
    """Live at once, whatever stands against it."""
    if not await install(policies, policy, by=by, now=now):
        await put(policies, policy, by=by, now=now)


async def put(
    policies: Policies,
    policy: Policy,
    *,
    now: datetime,
    by: str = "tests",
    stage: Stage = Stage.LIVE,
    effective_at: datetime | None = None,
    percent: int | None = None,
    seed: str | None = None,
) -> LogEntry:
    """A row of the log; it is tried anew for whom somebody else was faster."""
    text = await policies.push(text_of(policy, by=by, now=now), public_view(policy))
    assert text.sha256 == policy.sha256, f"version {policy.version} names another text"
    row = NewPublication(
        LogAction.PUBLISH,
        stage,
        text,
        Authority.SINGLE_PERSON,
        by,
        now,
        effective_at=effective_at,
        canary_percent=percent,
        canary_seed=seed,
    )
    while True:
        log = await policies.log()
        entry = await policies.append(row, after=log[-1].publication if log else None)
        if entry is not None:
            return entry


async def damage_texts(connection: Connection) -> None:
    """Every text as one that no release can read, which the database allows nobody."""
    await connection.execute("ALTER TABLE policy_text DISABLE TRIGGER stays")
    await connection.execute("UPDATE policy_text SET document = 'no policy'")
    await connection.execute("ALTER TABLE policy_text ENABLE TRIGGER stays")
