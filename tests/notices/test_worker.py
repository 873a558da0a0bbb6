"""Workers as they are started, one of which is killed while the mail server has its text; the commands; the doctor."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from jitui.bootstrap import utc_now
from jitui.bootstrap_sending import sends_notices
from jitui.errors import NotConfigured
from jitui.notices.model import NoticeKind, NoticeState
from jitui.settings import Settings, environment_for
from jitui.settings.values import MailSender, SmtpTls
from tests.cli.conftest import Result
from tests.notices.test_sending import asked, one_notice
from tests.notices.world import BUYER_ADDRESS, World

PLANTED_KEY = "planted-key-of-the-platform"


def settings_of(world: World, home: Path, database_url: str) -> Settings:
    (key := home / "book.key").write_text(PLANTED_KEY)
    return Settings(
        home=home / "worker",
        database_url=database_url,
        smtp_host="127.0.0.1",
        smtp_port=world.mail.port,
        smtp_tls=SmtpTls.NONE,
        mail_from=MailSender("help@market.example"),
        address_book_url=world.platform.url,
        address_book_key_file=key,
    )


async def run(settings: Settings, *words: str) -> Result:
    """A command in a process of its own, while this one serves mail and addresses."""
    command = [sys.executable, "-m", "jitui.entrypoints.cli", *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = await asyncio.create_subprocess_exec(*command, env=environment_for(settings), **pipes)  # type: ignore[arg-type]
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return Result(process.returncode or 0, out.decode(), err.decode())


@contextmanager
def worker(settings: Settings, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A worker as a person starts it."""
    command = [sys.executable, "-m", "jitui.entrypoints.cli", "worker"]
    with (
        log.open("wb") as out,
        subprocess.Popen(command, env=environment_for(settings), stdout=out, stderr=out) as process,
    ):
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)


async def until(world: World, state: NoticeState) -> None:
    for _ in range(300):
        found = await world.notices()
        if found and all(one.state is state for one in found.values()):
            return
        await asyncio.sleep(0.1)
    raise AssertionError(await world.notices())


async def test_a_worker_that_is_killed_while_the_server_has_the_text(
    world: World, database_url: str, tmp_path: Path
) -> None:
    """By SIGKILL, before the answer: nobody knows, and no other worker sends it again."""
    world.now.at = utc_now()
    await one_notice(world)
    log = tmp_path / "worker.log"
    with worker(settings_of(world, tmp_path, database_url), log) as process:
        world.mail.before_text = lambda: os.kill(process.pid, signal.SIGKILL)
        for _ in range(300):
            if process.poll() is not None:
                break
            await asyncio.sleep(0.1)
    assert process.returncode == -signal.SIGKILL, log.read_text()
    world.mail.before_text = None
    found = (await world.notices())[NoticeKind.REQUEST_RECEIVED]
    assert found.state is NoticeState.PENDING and found.handed_over_at is not None
    world.now.at = utc_now() + timedelta(minutes=16)
    await world.sent()
    await world.dispatcher().look_after()
    assert (await world.notices())[NoticeKind.REQUEST_RECEIVED].state is NoticeState.UNKNOWN
    assert len(world.mail.got) == 1


async def test_a_worker_sends_and_says_no_address_and_the_commands_show_it(
    world: World, database_url: str, tmp_path: Path
) -> None:
    world.now.at = utc_now()
    await asked(world)
    settings = settings_of(world, tmp_path, database_url)
    with worker(settings, tmp_path / "worker.log"):
        await until(world, NoticeState.SENT)
    assert "planted" not in (tmp_path / "worker.log").read_text()
    assert f"Bearer {PLANTED_KEY}" in world.platform.keys
    sent = (await world.notices())[NoticeKind.REQUEST_RECEIVED]
    listed, shown, again, doctor = (
        await run(settings, "notices", "list", "--buyer", "b-1"),
        await run(settings, "notices", "preview", str(sent.notice_id), "--language", "en"),
        await run(settings, "notices", "retry", str(sent.notice_id)),
        await run(settings, "doctor"),
    )
    assert f"{sent.notice_id} sent  request_received about {sent.subject} to buyer b-1" in listed.out
    assert shown.out.startswith("Your refund request was received: order o-1\n"), shown
    assert (again.code, len(world.mail.got)) == (1, 2), "what was sent is not sent again"
    assert f"127.0.0.1:{world.mail.port} would take mail from help@market.example" in doctor.out
    assert "address book: it answers, and takes our key" in doctor.out
    assert BUYER_ADDRESS not in listed.out + shown.out + doctor.out


@pytest.mark.parametrize("missing", ["mail_from", "smtp_host"])
def test_half_of_the_settings_of_mail_is_told(tmp_path: Path, missing: str) -> None:
    given = {"smtp_host": "mail", "mail_from": MailSender("a@b.example"), "address_book_url": "http://book"}
    assert not sends_notices(Settings(home=tmp_path))
    assert not sends_notices(Settings(home=tmp_path, **{**given, "address_book_url": None}))  # type: ignore[arg-type]
    assert sends_notices(Settings(home=tmp_path, **given))  # type: ignore[arg-type]
    with pytest.raises(NotConfigured, match=f"JITUI_{missing.upper()} too"):
        sends_notices(Settings(home=tmp_path, **{**given, missing: None}))  # type: ignore[arg-type]
