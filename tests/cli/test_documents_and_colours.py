"""Every reading command has a document for scripts; colour and language for people only."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from jitui.aftersales.model.refund import RefundState
from jitui.entrypoints.cli import speaking
from jitui.entrypoints.cli.main import COMMANDS, load
from tests.aftersales.market import open_market
from tests.cli.conftest import in_a_process

WITHOUT_DOCUMENT = {
    "serve": "runs until it is stopped",
    "worker": "runs until it is stopped",
    "provider-simulator": "runs until it is stopped",
    "buyers erased": "prints the list that `buyers erase --from` reads",
    "buyers export": "prints a JSON document anyway",
    "mcp": "speaks MCP until it is stopped",
    "platform connect": "changes a connection; `platform status` reads it",
    "platform disconnect": "leaves nothing to read",
    "platform resolve": "changes a refund; `refunds show` reads it",
    "policy schema": "prints a JSON document anyway",
    "policy pull": "prints the text to the letter",
    "refunds retry": "changes a refund; `refunds show` reads it",
    "refunds settle": "changes a refund; `refunds show` reads it",
    "restore hold": "changes the hold; `restore status` reads it",
    "restore accept": "changes the hold; `restore status` reads it",
    "shipments acknowledge": "changes a ticket; `explain` reads it",
    "webhooks delete": "leaves nothing to read",
}


def commands() -> Iterator[tuple[str, set[str]]]:
    """Every command with its options."""
    left = [(name, load(name)) for name in COMMANDS]
    while left:
        name, command = left.pop()
        inner = getattr(command, "commands", {})
        left += [(f"{name} {sub}", one) for sub, one in inner.items()]
        if not inner:
            yield name, {option for parameter in command.params for option in parameter.opts}


def test_every_command_has_a_document_or_a_reason_for_none() -> None:
    assert {name for name, options in commands() if "--json" not in options} == set(WITHOUT_DOCUMENT)


READING = [
    "audit list",
    "audit verify",
    "coverage show s-1",
    "doctor",
    "explain TICKET",
    "history maps",
    "keys list",
    "ledger --check",
    "ledger o-1",
    "migrate --current",
    "pause --list",
    "people list",
    "people roles",
    "policy check policies/unshipped-instant-refund.yaml",
    "policy diff policies/unshipped-instant-refund.yaml policies/unshipped-instant-refund.yaml",
    "policy facts",
    "policy list",
    "policy log",
    "policy test policies/unshipped-instant-refund.yaml",
    "refunds list",
    "shipments risks",
    "restore status",
    "restrict b-1 --list",
    "appeals list",
    "tasks",
    "webhooks list",
]


@pytest.fixture(scope="module")
def ticket_id(module_database_url: str) -> str:
    async def asked() -> str:
        now = datetime.now(UTC)
        async with open_market(module_database_url, now=now) as market:
            await market.paid_order("b-1", "o-1", now=now)
            return str((await market.asked("b-1", "o-1", now=now)).ticket_id)

    return asyncio.run(asked())


@pytest.mark.parametrize("line", READING)
def test_a_reading_command_prints_one_document_and_nothing_else(
    line: str, module_database_url: str, ticket_id: str, tmp_path: Path
) -> None:
    settings = {"JITUI_HOME": str(tmp_path), "JITUI_DATABASE_URL": module_database_url, "FORCE_COLOR": "1"}
    words = [ticket_id if word == "TICKET" else word for word in line.split()]
    done = in_a_process(*words, "--json", settings=settings, cwd=Path(__file__).parents[2])
    assert done.code in (0, 1), done.err
    assert isinstance(json.loads(done.out), dict)
    assert "\x1b" not in done.out


def test_an_error_leaves_the_document_out(tmp_path: Path, module_database_url: str) -> None:
    settings = {"JITUI_HOME": str(tmp_path), "JITUI_DATABASE_URL": module_database_url}
    done = in_a_process("explain", "no-ticket", "--json", settings=settings)
    assert (done.code, done.out, done.err) == (2, "", "'no-ticket' is not a ticket's id (a UUID).\n")


# Colour ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("on_terminal", "environment", "coloured"),
    [
        (True, {"TERM": "xterm-256color"}, True),
        (True, {"TERM": "xterm-256color", "NO_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
        (False, {"TERM": "xterm-256color"}, False),
        (False, {"TERM": "xterm-256color", "FORCE_COLOR": "1"}, True),
    ],
    ids=["terminal", "NO_COLOR", "dumb", "pipe", "FORCE_COLOR"],
)
def test_colour_is_where_the_terminal_has_it(
    tmp_path: Path, on_terminal: bool, environment: dict[str, str], coloured: bool
) -> None:
    settings = {"PATH": os.environ["PATH"], "JITUI_HOME": str(tmp_path), **environment}
    command = [sys.executable, "-m", "jitui.entrypoints.cli", "policy", "facts"]
    if not on_terminal:
        said = subprocess.run(command, env=settings, capture_output=True, check=True).stdout
        assert (b"\x1b[36m" in said) == coloured
        return
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, env=settings, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        said = b""
        try:
            while part := os.read(ours, 65_536):
                said += part
        except OSError:  # the other end is closed
            pass
    os.close(ours)
    assert process.returncode == 0 and b"order.paid_minor" in said
    assert (b"\x1b[36m" in said) == coloured


# Language and zone ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("zh-CN", ["售后单", "订单 o-1: ¥129.00, 待商家处理", "结果", "满足", "转商家审核"]),
        ("en", ["Ticket", "Order o-1: 129.00 CNY, awaiting_merchant", "verdict", "true"]),
    ],
    ids=["zh-CN", "en"],
)
def test_a_ticket_is_told_in_the_language_and_zone_of_the_console(
    module_database_url: str, ticket_id: str, tmp_path: Path, language: str, said: list[str]
) -> None:
    settings = {"JITUI_HOME": str(tmp_path), "JITUI_DATABASE_URL": module_database_url, "LC_ALL": "C.UTF-8"}
    settings |= {"JITUI_LANGUAGE": language, "JITUI_TIME_ZONE": "Asia/Kolkata"}
    done = in_a_process("explain", ticket_id, settings=settings)
    assert done.code == 0, done.err
    assert [text for text in [*said, "+05:30"] if text not in done.out] == [], done.out


def test_without_a_language_the_words_are_those_of_the_api() -> None:
    assert (speaking.word(RefundState.FAILED), speaking.amount(12900, "CNY")) == ("failed", "129.00 CNY")
