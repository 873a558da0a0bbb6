"""What of the log is in force at a moment, on every process."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jitui.adapters.postgres.policies import PostgresPolicies
from jitui.aftersales.governance.policies import NewPublication
from jitui.aftersales.governance.policy_in_force import RE_READ_SECONDS, PolicyInForce
from jitui.aftersales.governance.publication import Authority, LogAction, LogEntry, Stage, in_force, live_before
from tests.governance.desk import Desk, open_desk, policy, text
from tests.publishing import put

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def entry(number: int, sha256: str, stage: Stage = Stage.LIVE, **more: object) -> LogEntry:
    at = NOON + timedelta(minutes=number)
    return LogEntry(number, LogAction.PUBLISH, stage, "p", sha256, sha256, at, **more)  # type: ignore[arg-type]


def test_a_schedule_counts_from_its_very_moment_on() -> None:
    moment = NOON + timedelta(hours=1)
    log = [entry(1, "a"), entry(2, "b", effective_at=moment)]
    for now, live in ((moment - timedelta(microseconds=1), "a"), (moment, "b")):
        found = in_force(log, now)
        assert found is not None and found.live.sha256 == live
    before = in_force(log, NOON)
    assert before is not None and before.until == moment


def test_a_row_without_a_schedule_counts_whatever_the_clock_of_its_writer_said() -> None:
    found = in_force([entry(1, "a")], NOON - timedelta(days=1))
    assert found is not None and found.live.sha256 == "a"


def test_a_new_live_text_ends_canary_and_shadow() -> None:
    log = [entry(1, "a"), entry(2, "b", Stage.CANARY), entry(3, "c", Stage.SHADOW)]
    found = in_force(log, NOON)
    assert found is not None and found.canary is not None and found.shadow is not None
    after = in_force([*log, entry(4, "b")], NOON)
    assert after is not None and (after.canary, after.shadow) == (None, None)


def test_a_roll_back_goes_back_and_never_forth() -> None:
    log = [entry(1, "a"), entry(2, "b"), entry(3, "c")]
    for sha256 in ("b", "a"):
        before = live_before(log, NOON + timedelta(hours=1))
        assert before is not None and before.sha256 == sha256
        number = len(log) + 1
        log.append(
            LogEntry(number, LogAction.ROLL_BACK, Stage.LIVE, "p", sha256, sha256, NOON + timedelta(minutes=number))
        )
    assert live_before(log, NOON + timedelta(hours=1)) is None


ROWS = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.sampled_from(list(Stage)),
        st.sampled_from([LogAction.PUBLISH, LogAction.STOP]),
        st.none() | st.integers(0, 100),
    ),
    max_size=8,
)


@given(rows=ROWS, minutes=st.integers(0, 120))
def test_in_force_is_what_counts_now_and_changes_only_when_the_next_row_is_due(
    rows: list[tuple[str, Stage, LogAction, int | None]], minutes: int
) -> None:
    log = [entry(1, "a")]
    for number, (sha256, stage, action, later) in enumerate(rows, start=2):
        kind = action if stage is not Stage.LIVE else LogAction.PUBLISH
        moment = None if later is None else NOON + timedelta(minutes=later)
        at = NOON + timedelta(minutes=number)
        log.append(LogEntry(number, kind, stage, "p", sha256, sha256, at, moment))
    now = NOON + timedelta(minutes=minutes)
    found = in_force(log, now)
    assert found is not None and found.live.is_due(now)
    assert all(not row.is_due(now) for row in found.scheduled)
    if found.until is not None:
        just_before = in_force(log, found.until - timedelta(microseconds=1))
        assert just_before is not None
        assert (just_before.live, just_before.canary, just_before.shadow) == (found.live, found.canary, found.shadow)


async def test_two_processes_switch_at_one_moment_whatever_their_clocks_say(desk_alone: Desk) -> None:
    """A process counts from the database's time at its last reading, by a clock that only measures spans."""
    desk = desk_alone
    moment = datetime.now(UTC) + timedelta(hours=1)
    await put(desk.policies, policy(text("next")), now=desk.now, effective_at=moment)
    starts = (10.0, 987_654.0)
    seconds = [[start] for start in starts]
    processes = [
        PolicyInForce(desk.policies, seconds=lambda at=at: at[0], re_read_seconds=7200)  # type: ignore[misc]
        for at in seconds
    ]
    first = {(await one.current()).version for one in processes}
    switched = []
    for early_seconds in (0.001, -0.001):
        for process, at, start in zip(processes, seconds, starts, strict=True):
            assert process._reading is not None
            at[0] = start + (moment - process._reading.read_at).total_seconds() - early_seconds
        switched.append({(await one.current()).version for one in processes})
    assert switched == [first, {"next"}] and len(first) == 1


async def test_a_publication_decides_on_every_process_within_the_time_of_a_reading(desk_alone: Desk) -> None:
    desk, at = desk_alone, [0.0]
    process = PolicyInForce(desk.policies, seconds=lambda: at[0])
    first = (await process.current()).version
    await put(desk.policies, policy(text("next")), now=desk.now)
    assert (await process.current()).version == first
    at[0] = RE_READ_SECONDS + 0.001
    assert (await process.current()).version == "next"


async def test_a_canary_and_a_shadow_are_compiled_beside_the_live_policy(desk_alone: Desk) -> None:
    desk = desk_alone
    await put(desk.policies, policy(text("canary")), now=desk.now, stage=Stage.CANARY, percent=5, seed="s")
    await put(desk.policies, policy(text("shadow")), now=desk.now, stage=Stage.SHADOW)
    found = await PolicyInForce(desk.policies).deciding()
    assert found.canary is not None and found.shadow is not None
    assert (found.canary.policy.version, found.canary.percent, found.canary.seed) == ("canary", 5, "s")
    assert found.shadow.version == "shadow"


async def test_what_was_called_off_before_a_newer_live_text_does_not_come_back(desk_alone: Desk) -> None:
    from jitui.aftersales.governance.rollout import cancel

    desk = desk_alone
    soon = datetime.now(UTC) + timedelta(seconds=1)
    row = await put(desk.policies, policy(text("never")), now=desk.now, effective_at=soon)
    assert isinstance(await cancel(desk.policies, row.publication, by="a", now=desk.now, reason="r"), LogEntry)
    await put(desk.policies, policy(text("newer")), now=datetime.now(UTC))
    reading = await desk.policies.standing()
    assert [one.version for one in reading.entries] == ["newer"]


@pytest.mark.parametrize("ahead", [timedelta(days=-1), timedelta(days=1)])
async def test_what_is_still_to_come_is_called_off_by_the_databases_clock(desk_alone: Desk, ahead: timedelta) -> None:
    """The machine of whoever calls it off is a day behind or ahead."""
    from jitui.aftersales.governance.rollout import StepRefusal, cancel

    desk, now = desk_alone, datetime.now(UTC)
    later = await put(desk.policies, policy(text("later")), now=now, effective_at=now + timedelta(hours=1))
    over = await put(desk.policies, policy(text("over")), now=now, effective_at=now - timedelta(hours=1))
    gone = await cancel(desk.policies, over.publication, by="a", now=now + ahead, reason="r")
    assert gone is StepRefusal.NOT_SCHEDULED
    done = await cancel(desk.policies, later.publication, by="a", now=now + ahead, reason="r")
    assert isinstance(done, LogEntry) and done.published_at <= datetime.now(UTC)
    kept = await desk.policies.text(over.sha256)
    assert kept is not None
    row = NewPublication(
        LogAction.CANCEL, Stage.LIVE, kept, Authority.ONE_PERSON, "a", now, "r", cancels=over.publication
    )
    with pytest.raises(ValueError, match="still to come"):
        await desk.policies.append(row, after=done.publication)


@pytest.mark.parametrize("ahead", [timedelta(days=-1), timedelta(days=1)])
async def test_what_one_person_does_at_once_goes_by_the_databases_clock(desk_alone: Desk, ahead: timedelta) -> None:
    """Whose machine is a day ahead would take the text of tomorrow for the live one, and find no canary to stop."""
    from jitui.aftersales.governance.rollout import StepRefusal, roll_back, start_shadow, stop

    desk, now = desk_alone, datetime.now(UTC)
    first = await desk.live()
    await put(desk.policies, policy(text("second")), now=now)
    await put(desk.policies, policy(text("canary")), now=now, stage=Stage.CANARY, percent=5, seed="s")
    later = await put(desk.policies, policy(text("later")), now=now, effective_at=now + timedelta(hours=1))
    kept = await desk.policies.text(later.sha256)
    assert kept is not None
    wrong = now + ahead
    shadow = await start_shadow(desk.policies, kept, by="a", now=wrong, reason="r")
    assert isinstance(shadow, LogEntry)
    assert isinstance(await stop(desk.policies, Stage.CANARY, by="a", now=wrong, reason="r"), LogEntry)
    stale = await roll_back(desk.policies, by="a", now=wrong, reason="r", version="later")
    assert stale is StepRefusal.NOT_LIVE
    back = await roll_back(desk.policies, by="a", now=wrong, reason="r", version="second")
    assert isinstance(back, LogEntry) and back.version == first == await desk.live()
    deciding = await PolicyInForce(desk.policies).deciding()
    assert (deciding.live.version, deciding.shadow) == (first, None), "a live text ends what stands beside it"
    assert now <= back.published_at <= datetime.now(UTC)


async def test_a_schedule_whose_moment_comes_while_it_is_called_off_is_not(desk_alone: Desk) -> None:
    from jitui.aftersales.governance.rollout import StepRefusal, cancel

    class Slow(PostgresPolicies):
        async def append(self, row: NewPublication, *, after: int | None) -> LogEntry | None:
            await asyncio.sleep(0.5)
            return await super().append(row, after=after)

    desk, now = desk_alone, datetime.now(UTC)
    soon = await put(desk.policies, policy(text("soon")), now=now, effective_at=now + timedelta(seconds=0.4))
    done = await cancel(Slow(desk.pool), soon.publication, by="a", now=now, reason="r")
    assert done is StepRefusal.NOT_SCHEDULED
    assert await desk.live() == "soon"


async def test_the_log_is_read_as_it_is_folded(database_url: str) -> None:
    """The statement's first row is the live one of `in_force`."""
    async with open_desk(database_url, two_people=False) as desk:
        for number in range(3):
            moment = datetime.now(UTC) + timedelta(days=1) if number == 1 else None
            await put(desk.policies, policy(text(f"v{number}")), now=desk.now, effective_at=moment)
        reading = await desk.policies.standing()
        by_all = in_force(await desk.policies.log(), reading.read_at)
        by_reading = in_force(reading.entries, reading.read_at)
        assert by_all == by_reading and by_all is not None and by_all.live.version == "v2"
