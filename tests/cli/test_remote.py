"""`jitui --remote`: the same words and documents as with the database, and what only a network can do wrong."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from jitui.aftersales.commands.refund_updates import RefundUpdate, confirm
from jitui.aftersales.ports import AttemptRef
from jitui.aftersales.provider import RefundResult, RefundResultKind
from jitui.entrypoints.cli.main import COMMANDS, SpeaksTo
from jitui.entrypoints.cli.remote import taken_from
from tests.cli.conftest import Result, in_a_process
from tests.client.service import answering_examples, serving
from tests.http.api import NO, Api, open_api
from tests.provider_simulator.server import SIMULATOR_AWAY


@dataclass(frozen=True)
class World:
    """A service with a refund that failed, a reviewed ticket, a task, a pause and whatever else is shown."""

    address: str
    key_file: Path
    buyer_key_file: Path
    here: dict[str, str]
    elsewhere: dict[str, str]
    ticket_id: str
    refund_id: str
    queued_refund_id: str
    case_id: str
    notice_id: str


@pytest.fixture(scope="module")
def world(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = tmp_path_factory.mktemp("home")
    keys, ids = asyncio.run(_prepare(module_database_url, home))
    for name, key in keys.items():
        (home / name).write_text(key + "\n", encoding="utf-8")
        (home / name).chmod(0o600)  # a key that others can read is warned of
    simulator = {f"JITUI_{name.upper()}": value for name, value in SIMULATOR_AWAY.items()}
    encryption = {"JITUI_ENCRYPTION_KEY_FILE": str(home / "encryption.key")}
    here = {"JITUI_HOME": str(home), "JITUI_DATABASE_URL": module_database_url, **simulator, **encryption}
    with serving(module_database_url, home, encryption_key_file=str(home / "encryption.key")) as address:
        elsewhere = {"JITUI_HOME": str(home / "nowhere")}
        yield World(address, home / "platform", home / "buyer", here, elsewhere, *ids)


async def _prepare(database_url: str, home: Path) -> tuple[dict[str, str], tuple[str, ...]]:
    async with open_api(database_url, home=home) as api:
        ticket = await api.reviewed("o-reviewed")
        for order_id in ("o-failed", "o-queued"):
            await api.paid_order(order_id)
            await api.ask(order_id)
        claimed = await api.market.store.claim_refunds(now=api.now.at, lease_until=api.now.at, limit=1)
        declined, (one,) = RefundUpdate(RefundResult(RefundResultKind.DECLINED, reason="card closed")), claimed
        await confirm(api.market.store, AttemptRef(one.lane, one.attempt.attempt_id), declined, now=api.now.at)
        failed = str(one.refund.refund_id)
        queued = next(row["refund_id"] for row in await _refunds(api) if row["refund_id"] != failed)
        await api.paid_order("o-ship", buyer_id="buyer-ship")
        await api.put("/v1/coverage", {"scope": "category", "ref": "mugs", "covered": False, "reason": "Handmade."})
        await api.post("/v1/pauses", {"scope": "item", "ref": "i-9", "reason": "Recalled."})
        set_ = await api.post(
            "/v1/restrictions",
            {"buyer_id": "b-9", "reason": "Cancels in series.", "evidence": {"order_ids": ["o-7"], "note": "Eleven."}},
        )
        contested = {"restriction_id": set_.json()["restriction_id"], "buyer_id": "b-9", "text": "It was the shop."}
        await api.post("/v1/appeals", contested)
        await api.post("/v1/webhook-endpoints", {"url": "https://shop.example/hooks"})
        case, notice = await _case(api), await _notice(api, ticket["ticket_id"])
        ids = (ticket["ticket_id"], failed, queued, case, notice)
        await _never_late(api)
        return {"platform": api.platform, "buyer": api.buyer}, ids


async def _case(api: Api) -> str:
    """A rejected ticket on which the platform is asked to decide; the list of tickets knows of everything."""
    case = await api.reviewed("o-case")
    path = f"/v1/after-sales/{case['ticket_id']}"
    await api.post(f"{path}/reject", NO, headers={"if-match": '"1"'}, key=api.shop)
    await api.post(f"{path}/arbitration", {"reason": "Nothing was shipped.", "evidence": [{"text": "A chat."}]})
    await api.service.ticket_list.fill()
    return str(case["ticket_id"])


async def _notice(api: Api, ticket_id: str) -> str:
    """A notice to the shop that was given up."""
    async with api.market.pool.connection() as connection:
        made = await connection.execute(
            "INSERT INTO notice (lane, recipient, recipient_id, kind, subject, state, tries, queued_at, closed_at, "
            "failure) SELECT lane, 'shop', shop_id, 'review_asked', ticket_id::text, 'dead', 3, requested_at, "
            "requested_at, 'The mail server answered 550.' FROM ticket WHERE ticket_id = %(id)s RETURNING notice_id",
            {"id": ticket_id},
        )
        row = await made.fetchone()
    assert row is not None
    return str(row[0])


async def _refunds(api: Api) -> list[dict[str, str]]:
    await api.market.refund_list.fill()
    rows: list[dict[str, str]] = (await api.get("/v1/refunds")).json()["refunds"]
    return rows


async def _never_late(api: Api) -> None:
    """No worker works here, and the lists are not to be late while the tests run."""
    async with api.market.pool.connection() as connection:
        await connection.execute("UPDATE roll_up SET as_of = as_of + interval '1 hour' WHERE name LIKE '%_list'")


def remotely(world: World, *words: str, key: Path | None = None) -> Result:
    """The command with the API key, and without any database."""
    where = ("--remote", world.address, "--api-key-file", str(key or world.key_file))
    done = in_a_process(*words, *where, settings=world.elsewhere)
    assert not Path(world.elsewhere["JITUI_HOME"]).exists(), "no database was started"
    return done


def ids_of(world: World) -> dict[str, str]:
    return {
        "TICKET": world.ticket_id,
        "REFUND": world.refund_id,
        "CASE": world.case_id,
        "NOTICE": world.notice_id,
    }


READING = [
    "refunds list",
    "refunds list --state failed --shop shop-1",
    "refunds list --older-than 2m --limit 1",
    "refunds show REFUND",
    "explain TICKET",
    "explain TICKET --language en",
    "tasks",
    "tasks --all --limit 1",
    "ledger o-failed",
    "pause --list",
    "restrict b-9 --list",
    "restrict b-none --list",
    "appeals list",
    "appeals list --state all --buyer b-9 --limit 1",
    "coverage show shop-1",
    "webhooks list",
    "webhooks list --shop shop-1",
    "tickets list --state awaiting_merchant --shop shop-1 --limit 1",
    "tickets show CASE",
    "tickets arbitrations --shop shop-1 --limit 1",
    "notices list --state dead --shop shop-1 --limit 1",
    "notices preview NOTICE",
    "notices preferences --shop shop-1",
    "shipments risks",
    "shipments risks --shop shop-1 --kind scan_without_tracking --limit 1",
]


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
@pytest.mark.parametrize("line", READING)
def test_a_reading_command_says_the_same_from_elsewhere(world: World, line: str, as_json: bool) -> None:
    words = [ids_of(world).get(word, word) for word in line.split()] + (["--json"] if as_json else [])
    here = in_a_process(*words, settings=world.here)
    assert (here.code, here.err) == (0, "")
    assert remotely(world, *words) == here


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (
            "refunds show 3b0f6f43-5a5e-5d0a-9d52-6c1f1c1a2b3c",
            2,
            "There is no refund 3b0f6f43-5a5e-5d0a-9d52-6c1f1c1a2b3c",
        ),
        ("explain 3b0f6f43-5a5e-5d0a-9d52-6c1f1c1a2b3c", 2, "There is no ticket"),
        ("ledger o-none", 2, "There is no order 'o-none'"),
        ("webhooks show 3b0f6f43-5a5e-5d0a-9d52-6c1f1c1a2b3c", 2, "There is no webhook endpoint"),
        ("tickets show 3b0f6f43-5a5e-5d0a-9d52-6c1f1c1a2b3c", 2, "There is no ticket"),
        ("tickets approve TICKET --by li.na", 2, "the API key says who does this"),
        ("notices preview 3b0f6f43-5a5e-5d0a-9d52-6c1f1c1a2b3c", 2, "There is no notice"),
        ("notices retry 3b0f6f43-5a5e-5d0a-9d52-6c1f1c1a2b3c", 1, "There is no notice"),
        ("pause shop s-1 --reason x --by li.na", 2, "the API key says who does this"),
        ("refunds retry REFUND --by li.na", 2, "the API key says who does this"),
        ("explain TICKET --audience buyer", 2, "the API key says who reads"),
        ("pause --lift shop s-none", 1, "There was no pause of shop s-none to lift."),
        ("refunds retry QUEUED", 1, "only a failed one is retried"),
        ("ledger --check", 2, "works with its database alone"),
        ("keys list", 2, "works with its database alone"),
        ("people list", 2, "works with its database alone"),
        ("serve", 2, "jitui serve works with its database alone"),
        ("worker", 2, "jitui worker works with its database alone"),
        ("simulate", 2, "jitui simulate speaks to no service"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_done_is_one_sentence(world: World, words: str, code: int, said: str) -> None:
    known = {**ids_of(world), "QUEUED": world.queued_refund_id}
    done = remotely(world, *(known.get(word, word) for word in words.split()))
    assert (done.code, said in done.err) == (code, True), done
    assert "Traceback" not in done.err and "should not happen" not in done.err


NEWER = "00000000-0000-4000-8000-000000000001"


@pytest.mark.parametrize(
    ("words", "known", "newer"),
    [
        ("refunds list", '"state":"succeeded"', '"state":"escrowed"'),
        (f"refunds show {NEWER}", '"actions":[]', '"actions":["escrow"]'),
        ("tasks", '"kind":"paid_twice"', '"kind":"escrow_lost"'),
        ("pause --list", '"scope":"shop"', '"scope":"warehouse"'),
        ("coverage show s-1", '"scope":"category"', '"scope":"warehouse"'),
        ("webhooks list", '"state":"active"', '"state":"drained"'),
        ("tickets list", '"state":"refunded"', '"state":"arbitrated"'),
        ("notices list", '"state":"dead"', '"state":"bounced"'),
        (f"explain {NEWER}", '"state":"refunded"', '"state":"arbitrated"'),
    ],
    ids=["refunds", "refund", "tasks", "pauses", "coverage", "webhooks", "tickets", "notices", "explain"],
)
def test_a_code_of_a_newer_service_is_one_sentence(tmp_path: Path, words: str, known: str, newer: str) -> None:
    settings = {"JITUI_HOME": str(tmp_path / "home"), "JITUI_API_KEY": "jt_0123456789_abc"}
    with answering_examples(known, newer) as address:
        done = in_a_process(*words.split(), "--remote", address, settings=settings)
    assert (done.code, done.out) == (1, ""), done
    code = newer.rpartition(":")[2].strip('["]')
    assert done.err.startswith("The service answers ") and f"'{code}'" in done.err and done.err.count("\n") == 1
    assert done.err.endswith(" This release of jitui does not know it; use the service's.\n")


def test_every_command_says_what_it_speaks_to(world: World) -> None:
    for name, slot in COMMANDS.items():
        if slot.speaks_to is not SpeaksTo.SERVICE:
            done = remotely(world, name)
            assert (done.code, done.out) == (2, ""), name
            assert re.match(rf".*jitui {name} (works with its database alone|speaks to no service)", done.err), done.err


# Writing -----------------------------------------------------------------------------------------------------------


def test_places_are_paused_and_let_go_on(world: World) -> None:
    done = remotely(world, "pause", "shop", "s-7", "--reason", "Moves.", "--json")
    assert [row["reason"] for row in done.json["pauses"] if row["ref"] == "s-7"] == ["Moves."]
    assert remotely(world, "pause", "shop", "s-7", "--lift").code == 0
    assert remotely(world, "pause", "shop", "s-7", "--lift").code == 1
    assert remotely(world, "pause", "--reason", "A look.").code == 0
    assert "s-7" not in remotely(world, "pause", "--lift").out


def test_a_buyer_is_restricted_and_listed(world: World) -> None:
    rows = remotely(world, "restrict", "b-7", "--reason", "abuse", "--days", "30", "--json").json["restrictions"]
    assert [row["reason"] for row in rows] == ["abuse"]
    assert remotely(world, "restrict", "b-7", "--lift", "--reason", "A mistake.", "--json").json["restrictions"][0][
        "lifted_at"
    ]
    assert remotely(world, "restrict", "b-7", "--lift", "--reason", "A mistake.").code == 1
    assert remotely(world, "select", "b-7", "deny", "--json").json["verdict"] == "deny"
    assert remotely(world, "coverage", "set", "item", "i-7", "--not-covered", "--reason", "Fragile.").code == 0
    assert remotely(world, "coverage", "set", "item", "i-7", "--covered", "--json").json["reason"] == ""
    assert remotely(world, "coverage", "set", "item", "i-7", "--not-covered").code == 2


def test_tickets_are_decided_as_they_are_now_and_what_was_refused_is_named(world: World) -> None:
    nobody = "3b0f6f43-5a5e-5d0a-9d52-6c1f1c1a2b3c"
    done = remotely(world, "tickets", "approve", world.case_id, nobody, "--json")
    here = in_a_process("tickets", "approve", world.case_id, nobody, "--by", "x", "--json", settings=world.here)
    assert done == here and done.code == 1, "a rejected one and one that does not exist"
    assert [row["done"] for row in done.json["tickets"]] == [False, False]
    assert remotely(world, "tickets", "assign", world.ticket_id).out == f"{world.ticket_id}  awaiting_merchant\n"
    reject = ("--code", "made_to_order", "--reason", "It is made.", "--evidence", "a photo")
    told = remotely(world, "tickets", "reject", world.ticket_id, *reject)
    assert (told.code, told.out) == (0, f"{world.ticket_id}  rejected\n")
    shown = in_a_process("tickets", "show", world.ticket_id, settings=world.here)
    assert "rejected (made_to_order): It is made.\n  a photo" in shown.out
    decide = ("decide", world.case_id, "approve", "--borne-by", "merchant", "--fault", "merchant", "--reason", "So.")
    decided = remotely(world, "tickets", *decide)
    assert (decided.code, decided.out) == (0, f"{world.case_id}  refunding\n")
    again = remotely(world, "tickets", *decide, "--json")
    here = in_a_process("tickets", *decide, "--by", "x", "--json", settings=world.here)
    assert again == here and again.code == 1


def test_a_notice_is_sent_again_and_preferences_are_kept(world: World) -> None:
    changed = ("--off", "review_asked", "--language", "en", "--json")
    done = remotely(world, "notices", "preferences", "--shop", "shop-1", *changed).json
    assert (done["off"], done["language"]) == (["review_asked"], "en")
    here = in_a_process(
        "notices", "preferences", "--shop", "shop-1", "--on", "review_asked", "--json", settings=world.here
    ).json
    assert (here["off"], here["language"]) == ([], "en"), "what was not named stays"
    assert remotely(world, "notices", "preferences", "--operator", "*", "--off", "task_opened").code == 0
    assert remotely(world, "notices", "preferences", "--shop", "shop-1", "--off", "incident_opened").code == 2
    assert remotely(world, "notices", "preferences").code == 2
    assert remotely(world, "notices", "retry", world.notice_id).err == f"Notice {world.notice_id} is sent again.\n"
    assert remotely(world, "notices", "list", "--state", "pending", "--json").json["notices"][0]["tries"] == 0
    assert remotely(world, "notices", "retry", world.notice_id).code == 1


def test_a_webhook_endpoint_lives_and_dies(world: World) -> None:
    made = remotely(world, "webhooks", "create", "https://shop.example/7", "--kind", "stop_ship", "--json").json
    name = made["endpoint"]["endpoint_id"]
    assert made["secret"].startswith("whsec_") and made["endpoint"]["kinds"] == ["stop_ship"]
    assert remotely(world, "webhooks", "pause", name, "--reason", "We move.", "--json").json["state"] == "paused"
    assert remotely(world, "webhooks", "resume", name, "--json").json["state"] == "active"
    changed = remotely(world, "webhooks", "update", name, "--all-kinds", "--description", "", "--json").json
    assert (changed["kinds"], changed["url"]) == ([], "https://shop.example/7")
    assert remotely(world, "webhooks", "rotate-secret", name, "--json").json["secret"] != made["secret"]
    assert remotely(world, "webhooks", "deliveries", name).out == "There are no deliveries.\n"
    assert remotely(world, "webhooks", "redeliver", name, "--event", "evt_1").code == 2
    assert remotely(world, "webhooks", "redeliver", name, "--since", "2026-06-02T00:00:00Z", "--json").json == {
        "redelivered": 0
    }
    assert remotely(world, "webhooks", "delete", name).code == 0
    assert remotely(world, "webhooks", "show", name).code == 2


def test_a_failed_refund_is_settled_by_hand(world: World) -> None:
    evidence = ("--reference", "BANK-7", "--amount", "129.00", "--note", "to the account on file")
    wrong = remotely(world, "refunds", "settle", world.refund_id, "--reference", "B", "--amount", "1.00", "--note", "x")
    assert (wrong.code, wrong.out) == (1, "") and "422" in wrong.err
    done = remotely(world, "refunds", "settle", world.refund_id, *evidence)
    assert (done.code, done.out) == (0, "It is settled.\n")
    here = in_a_process("refunds", "show", world.refund_id, "--json", settings=world.here)
    assert here.json["refund"]["settlement"]["reference"] == "BANK-7"
    assert remotely(world, "refunds", "show", world.refund_id, "--json") == here


def test_tracking_numbers_of_a_file_are_recorded_and_a_stop_ship_is_answered(world: World, tmp_path: Path) -> None:
    file = tmp_path / "numbers.csv"
    file.write_text("order_id,tracking_no\no-ship,9007199254740993001\no-404,SF2\n")
    done = remotely(world, "shipments", "import", str(file), "--json")
    assert [one["outcome"] for one in done.json["results"]] == ["done", "refused"] and done.code == 1
    assert remotely(world, "shipments", "import", str(file)).out == "0 done, 1 unchanged, 1 refused.\n"
    assert remotely(world, "shipments", "import", str(file), "--by", "li.na").code == 2
    assert remotely(world, "shipments", "acknowledge", world.ticket_id, "held").code == 1, "nothing was approved"
    assert (
        in_a_process("shipments", "import", str(file), settings=world.here).out == "0 done, 1 unchanged, 1 refused.\n"
    )


# The key and the address -------------------------------------------------------------------------------------------


def test_the_settings_name_service_and_key_too(world: World) -> None:
    settings = {**world.elsewhere, "JITUI_REMOTE_URL": world.address, "JITUI_API_KEY_FILE": str(world.key_file)}
    done = in_a_process("pause", "--list", settings=settings)
    assert (done.code, done.err) == (0, "") and "Recalled." in done.out
    refused = in_a_process("keys", "list", settings=settings)
    assert (refused.code, refused.out) == (2, "") and refused.err.startswith("JITUI_REMOTE_URL names a service; ")
    assert in_a_process("policy", "facts", settings=settings).code == 0


@pytest.mark.timeout(60)
def test_without_a_key_the_terminal_is_asked(world: World) -> None:
    command = [sys.executable, "-m", "jitui.entrypoints.cli", "--remote", world.address, "pause", "--list"]
    environment = {"PATH": os.environ["PATH"], **world.elsewhere}
    ours, theirs = pty.openpty()
    options: dict[str, Any] = {"stdin": theirs, "stdout": subprocess.PIPE, "stderr": theirs, "start_new_session": True}
    with subprocess.Popen(command, env=environment, **options) as process:
        asked = b""
        while b"API key: " not in asked:
            asked += os.read(ours, 1_000)
        os.write(ours, world.key_file.read_bytes())
        assert process.stdout is not None
        assert "Recalled." in process.stdout.read().decode()
    assert process.returncode == 0
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize(
    ("where", "code", "said"),
    [
        (("--remote", "http://refunds.example.com"), 2, "use https, or --allow-http in a network that you trust."),
        (("--remote", "refunds.example.com"), 2, "is such as https://"),
        (("--remote", "https://me:secret@refunds.example.com"), 2, "holds a name or a password"),
        (("--remote", "http://127.0.0.1:9"), 3, "The service does not answer: "),
        (("--remote",), 2, "--remote needs a value."),
        (("--remote", "http://127.0.0.1:9", "--api-key-file", "/none"), 2, "--api-key-file /none cannot be read"),
    ],
    ids=range(6),
)
def test_an_address_or_a_key_that_cannot_be_used(tmp_path: Path, where: tuple[str, ...], code: int, said: str) -> None:
    settings = {"JITUI_HOME": str(tmp_path / "home"), "JITUI_API_KEY": "jt_0123456789_abc"}
    done = in_a_process("pause", "--list", *where, settings=settings)
    assert (done.code, done.out, said in done.err) == (code, "", True), done
    assert "secret" not in done.err and "jt_0123456789_abc" not in done.err


def test_a_wrong_key_and_no_key_are_told(world: World, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("jt_wrong_0123456789")
    (tmp_path / "key").chmod(0o600)
    wrong = remotely(world, "pause", "--list", key=tmp_path / "key")
    assert wrong.code == 2 and wrong.err.startswith("The service does not take this API key (401, request ")
    none = in_a_process("pause", "--list", "--remote", world.address, settings=world.elsewhere)
    assert (none.code, none.out) == (2, "") and "name its file with --api-key-file" in none.err


def test_a_key_that_may_not_is_told(world: World) -> None:
    done = remotely(world, "pause", "--list", key=world.buyer_key_file)
    assert (done.code, done.out) == (2, "") and "(403, request " in done.err


@pytest.mark.parametrize(
    ("words", "ours", "others"),
    [
        (["a", "--remote", "u", "b"], ["--remote", "u"], ["a", "b"]),
        (["--remote=u", "a", "--allow-http"], ["--remote=u", "--allow-http"], ["a"]),
        (["a", "--", "--remote", "u"], [], ["a", "--", "--remote", "u"]),
        (["--api-key-file", "k", "--remotely"], ["--api-key-file", "k"], ["--remotely"]),
    ],
    ids=range(4),
)
def test_the_options_may_stand_anywhere(words: list[str], ours: list[str], others: list[str]) -> None:
    assert taken_from(words) == (ours, others)
