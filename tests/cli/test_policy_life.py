"""A policy's life from the command line: two people, each with a token, and what stands between."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from tests.aftersales.market import DEFAULT_POLICY
from tests.cli.conftest import Jitui, Result
from tests.governance.desk import text

Person = Callable[..., Result]


@pytest.fixture
def office(jitui: Jitui, settings: dict[str, str], tmp_path: Path) -> Callable[[str], Person]:
    """An installation in which two people approve; `office(name)` runs `jitui policy` as that person."""
    assert jitui("migrate").code == 0
    with psycopg.connect(settings["JITUI_DATABASE_URL"]) as connection:
        connection.execute("UPDATE approval_mode SET single_person = false, ended_at = now(), ended_by = 'tests'")
    for name, role in (("ada", "risk"), ("bo", "operator"), ("cy", "admin")):
        assert jitui("people", "add", name, "--role", role).code == 0
        token = jitui("people", "token", name, "--json").json["token"]
        (tmp_path / name).write_text(token)

    def of(name: str) -> Person:
        return lambda *words: jitui("policy", *words, "--api-key-file", str(tmp_path / name))

    return of


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "next.yaml"
    path.write_text(text("next"), "utf-8")
    return str(path)


def live(jitui: Jitui) -> list[str]:
    rows = jitui("policy", "list", "--json").json["texts"]
    return [row["version"] for row in rows if row["state"] == "live"]


def test_two_people_bring_a_policy_into_force_and_one_takes_it_back(
    jitui: Jitui, office: Callable[[str], Person], file: str
) -> None:
    ada, bo = office("ada"), office("bo")
    alone = jitui("policy", "publish", file)
    assert alone.code == 1 and "propose" in alone.err
    made = ada("propose", file, "--reason", "The rule of June.", "--canary", "5", "--json").json
    proposal = made["proposal_id"]
    assert ada("publish", proposal).code == 1
    own = ada("approve", proposal, "--yes")
    assert own.code == 1 and "somebody else" in own.err
    assert bo("approve", proposal, "--yes", "--json").json["state"] == "approved"
    assert ada("canary", proposal, "--percent", "6").code == 1
    assert "5 % of the buyers" in ada("canary", proposal, "--percent", "5").out
    states = {row["version"]: row["state"] for row in jitui("policy", "list", "--json").json["texts"]}
    assert states == {"next": "canary 5 %", DEFAULT_POLICY.version: "live"}
    assert "stop of version next" in bo("stop", "canary", "--reason", "Enough seen.").out
    assert ada("publish", proposal[:18]).code == 0
    assert live(jitui) == ["next"]
    assert bo("rollback", "--reason", "More incidents.", "--version", "next").code == 0
    assert bo("rollback", "--reason", "Twice.", "--version", "next").code == 1
    assert live(jitui) == [DEFAULT_POLICY.version]
    waiting = jitui("policy", "confirm", "--json").json["confirmations"]
    assert [one["action"] for one in waiting] == ["policy.published"] * 2
    assert bo("confirm", waiting[0]["confirmation_id"]).code == 1
    assert ada("confirm", waiting[0]["confirmation_id"]).code == 0
    assert len(jitui("policy", "confirm", "--json").json["confirmations"]) == 1


def test_a_text_is_pushed_and_pulled_to_the_letter(jitui: Jitui, office: Callable[[str], Person], file: str) -> None:
    assert jitui("policy", "push", file).code == 0
    assert jitui("policy", "pull", "next").out == Path(file).read_text("utf-8")
    assert jitui("policy", "pull").out == DEFAULT_POLICY.text
    Path(file).write_text(text("next", **{"over: 30d": "over: 31d"}), "utf-8")
    refused = jitui("policy", "push", file)
    assert refused.code == 1 and "names another text" in refused.out
    assert jitui("policy", "pull", "nothing").code == 1


def test_what_a_terminal_would_obey_is_pulled_into_a_file_as_it_was_pushed(jitui: Jitui, file: str) -> None:
    assert jitui("migrate").code == 0
    odd = "# tab\t, carriage return\r\n# right to left: \u202e\n" + text("odd")
    Path(file).write_bytes(odd.encode())
    assert jitui("policy", "push", file).code == 0
    assert jitui("policy", "pull", "odd").out == odd


def test_a_text_that_was_only_in_shadow_was_never_replaced(
    jitui: Jitui, office: Callable[[str], Person], file: str
) -> None:
    assert jitui("policy", "push", file).code == 0
    ada = office("ada")
    assert ada("shadow", "next", "--reason", "To see.").code == 0
    assert ada("stop", "shadow", "--reason", "Seen.").code == 0
    states = {row["version"]: row["state"] for row in jitui("policy", "list", "--json").json["texts"]}
    assert states == {"next": "draft", DEFAULT_POLICY.version: "live"}


def test_a_text_is_retired_once_and_what_is_in_force_is_not(
    jitui: Jitui, office: Callable[[str], Person], file: str
) -> None:
    assert jitui("policy", "push", file).code == 0
    ada = office("ada")
    first = ada("retire", "next", "--reason", "Not agreed.", "--json").json
    assert ada("retire", "next", "--reason", "Once more.", "--json").json == first
    refused = ada("retire", DEFAULT_POLICY.version, "--reason", "Why.")
    assert refused.code == 1 and "in force" in refused.err


def test_who_may_not_is_told_why(jitui: Jitui, office: Callable[[str], Person], file: str, tmp_path: Path) -> None:
    assert "may not do this" in office("cy")("propose", file, "--reason", "Why.").err
    key = jitui("keys", "issue", "--scope", "platform", "--json").json
    (tmp_path / "key").write_text(key["key"] if "key" in key else key["secret"])
    refused = office("key")("propose", file, "--reason", "Why.")
    assert refused.code == 2 and "only people" in refused.err
    (tmp_path / "wrong").write_text("jt_aaaaaaaaaaaa_bbbb")
    assert "opens nothing" in office("wrong")("propose", file, "--reason", "Why.").err
    assert office("ada")("approve", "ffff", "--yes").code == 2


def test_a_second_person_lifts_the_pause_that_was_proposed_to_end(
    jitui: Jitui, office: Callable[[str], Person], tmp_path: Path
) -> None:
    ada = ("--api-key-file", str(tmp_path / "ada"))
    office("ada")
    assert jitui("pause", "--reason", "A fault.").code == 0
    alone = jitui("pause", "--lift")
    assert alone.code == 2 and "second person" in alone.err
    assert jitui("pause", "--propose-lift", *ada).code == 2  # it needs a reason
    made = jitui("pause", "--propose-lift", "--reason", "Mended.", "--json", *ada).json
    assert office("ada")("approve", made["proposal_id"], "--yes").code == 1
    assert office("bo")("approve", made["proposal_id"], "--yes", "--json").json["state"] == "executed"
    assert jitui("pause", "--list", "--json").json["pauses"] == []


def test_a_second_person_lifts_a_restriction_and_covers_a_place(
    jitui: Jitui, office: Callable[[str], Person], tmp_path: Path
) -> None:
    """What narrows is done at once; what loosens is proposed."""
    ada = ("--api-key-file", str(tmp_path / "ada"))
    office("ada")
    assert jitui("restrict", "b-1", "--reason", "Cancels in series.").code == 0
    assert jitui("coverage", "set", "shop", "s-1", "--not-covered", "--reason", "Late.").code == 0
    for words in (
        ("restrict", "b-1", "--lift", "--reason", "x"),
        ("coverage", "set", "shop", "s-1"),
        ("coverage", "unset", "shop", "s-1"),
    ):
        alone = jitui(*words)
        assert alone.code == 2 and "second person" in alone.err and "--propose" in alone.err
    assert jitui("restrict", "b-1", "--propose-lift", *ada).code == 2  # it needs a reason
    assert jitui("coverage", "set", "shop", "s-1", "--not-covered", "--propose", *ada).code == 2
    lift = jitui("restrict", "b-1", "--propose-lift", "--reason", "Our fault.", "--json", *ada).json
    cover = jitui("coverage", "set", "shop", "s-1", "--propose", "--reason", "On time.", "--json", *ada).json
    for made in (lift, cover):
        assert office("ada")("approve", made["proposal_id"], "--yes").code == 1
        assert office("bo")("approve", made["proposal_id"], "--yes", "--json").json["state"] == "executed"
    (restriction,) = jitui("restrict", "b-1", "--list", "--json").json["restrictions"]
    assert restriction["lifted_by"] == "bo"
    (row,) = jitui("coverage", "show", "s-1", "--json").json["coverage"]
    assert (row["covered"], row["set_by"]) == (True, "bo")
    assert jitui("restrict", "b-1", "--propose-lift", "--reason", "Again.", *ada).code == 1
    unset = jitui("coverage", "unset", "shop", "s-1", "--propose", "--reason", "By the gates.", "--json", *ada).json
    assert office("bo")("approve", unset["proposal_id"], "--yes", "--json").json["state"] == "executed"
    assert jitui("coverage", "show", "s-1", "--json").json["coverage"] == []


def test_a_shadow_is_one_persons_and_what_is_live_is_not_retired(
    jitui: Jitui, office: Callable[[str], Person], file: str
) -> None:
    ada = office("ada")
    assert jitui("policy", "push", file).code == 0
    assert "shadow" in ada("shadow", "next", "--reason", "To see.").out
    assert ada("retire", "next", "--reason", "A mistake.").code == 1
    assert ada("stop", "shadow", "--reason", "Seen.").code == 0
    assert ada("retire", "next", "--reason", "A mistake.").code == 0
    blocked = ada("propose", file, "--reason", "Again.")
    assert blocked.code == 1 and "retired" in blocked.out


# Looking back, and the mode ---------------------------------------------------------------------------------------


def test_a_text_is_shown_with_who_proposed_and_approved_it_and_what_became_of_it(
    jitui: Jitui, office: Callable[[str], Person], file: str
) -> None:
    ada, bo = office("ada"), office("bo")
    proposal = ada("propose", file, "--reason", "The rule of June.", "--json").json["proposal_id"]
    assert jitui("policy", "show", "next", "--json").json["state"] == "proposed"
    assert bo("approve", proposal, "--yes").code == 0
    assert ada("publish", proposal).code == 0
    found = jitui("policy", "show", "next", "--json").json
    assert (found["state"], [row["action"] for row in found["log"]]) == ("live", ["publish"])
    (made,) = found["proposals"]
    assert (made["state"], made["proposed_by"], made["approved_by"]) == ("executed", "ada", "bo")
    shown = jitui("policy", "show", "next").out
    assert "by ada, approved by bo" in shown and "The rule of June." in shown
    assert bo("rollback", "--reason", "More incidents.").code == 0
    rows = jitui("policy", "log", "--json").json["log"]
    assert [(row["action"], row["version"], row["by"]) for row in rows[:2]] == [
        ("roll_back", DEFAULT_POLICY.version, "bo"),
        ("publish", "next", "ada"),
    ]
    assert len(jitui("policy", "log", "--limit", "1", "--json").json["log"]) == 1
    assert [row["version"] for row in jitui("policy", "log", "--version", "next", "--json").json["log"]] == ["next"]
    printed = jitui("policy", "log").out
    assert "roll back live" in printed and "More incidents." in printed
    assert max(map(len, printed.splitlines())) <= 80
    unknown = jitui("policy", "show", "nowhere")
    assert unknown.code == 2 and "jitui policy list" in unknown.err


def test_only_who_made_a_proposal_withdraws_it(office: Callable[[str], Person], file: str) -> None:
    ada, bo = office("ada"), office("bo")
    proposal = ada("propose", file, "--reason", "The rule of June.", "--json").json["proposal_id"]
    assert bo("withdraw", proposal, "--reason", "No.").code != 0
    assert ada("withdraw", proposal, "--reason", "A mistake.", "--json").json["state"] == "withdrawn"
    assert ada("withdraw", proposal, "--reason", "Again.").code == 1


def test_the_mode_for_one_person_ends_when_two_are_there_who_can_approve(jitui: Jitui) -> None:
    assert jitui("migrate", "--single-person").code == 0
    assert "one person is enough" in jitui("doctor").out
    alone = jitui("migrate", "--two-people", "--yes")
    assert alone.code == 2 and "nobody could" in alone.err
    for name, role in (("bo", "operator"), ("di", "support"), ("ed", "admin")):
        assert jitui("people", "add", name, "--role", role).code == 0
    assert "only bo could" in jitui("migrate", "--two-people", "--yes").err
    assert jitui("people", "add", "cy", "--role", "operator").code == 0
    assert "Nobody could propose" in jitui("migrate", "--two-people", "--yes").err
    assert jitui("policy", "list", "--json").json["single_person"] is True
    assert jitui("people", "add", "ada", "--role", "risk").code == 0
    assert jitui("migrate", "--two-people", "--single-person", "--yes").code == 2
    assert jitui("migrate", "--two-people", "--yes").code == 0
    assert jitui("policy", "list", "--json").json["single_person"] is False
    assert jitui("migrate", "--two-people", "--yes").code == 0, "said again it changes nothing"
    assert "a second person approves" in jitui("doctor").out
    for name in ("ada", "bo"):
        assert jitui("people", "disable", name).code == 0
    assert "only cy could" in " ".join(jitui("doctor").out.split())


def test_a_database_that_is_for_two_people_refuses_to_be_for_one_with_what_to_do(
    jitui: Jitui, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JITUI_DATABASE_URL", empty_database_url)
    assert jitui("platform", "status").code == 2, "any command that comes first migrates"
    refused = jitui("migrate", "--single-person")
    assert refused.code == 2 and refused.out == ""
    assert "this installation is for two people" in refused.err and "people.md" in refused.err
    assert "the first command" in refused.err
    listed = jitui("policy", "list", "--json").json
    assert (listed["single_person"], listed["texts"]) == (False, []), "nothing was changed"
    assert jitui("migrate").code == 0


def test_an_installation_for_one_person_may_say_so_again(
    jitui: Jitui, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JITUI_DATABASE_URL", empty_database_url)
    for _ in range(2):
        assert jitui("migrate", "--single-person").code == 0
    assert jitui("policy", "list", "--json").json["single_person"] is True


def test_whose_turn_it_is_is_told_once(jitui: Jitui, office: Callable[[str], Person], file: str) -> None:
    ada, bo = office("ada"), office("bo")
    made = ada("propose", file, "--reason", "The rule of June.")
    assert "Next: somebody else runs `jitui policy approve" in made.err
    (proposal,) = re.findall(r"Proposal ([0-9a-f-]{36}): open", made.out)
    asked = bo("approve", proposal)  # it asks, and nobody answers
    assert "The rule of June." in asked.out and "Approve this? [y/N]" in asked.err and "Next" not in asked.err
    approved = bo("approve", proposal, "--yes")
    assert f"Next: a person of the role risk runs `jitui policy publish {proposal[:13]}`." in approved.err
    assert "policies:propose" in bo("publish", proposal).err
    assert "Next" not in ada("publish", proposal).err


def test_a_policy_of_another_name_is_refused_with_what_to_do(jitui: Jitui, file: str) -> None:
    assert jitui("migrate").code == 0
    Path(file).write_text(text("next").replace(f"policy: {DEFAULT_POLICY.id}", "policy: everything-unshipped"), "utf-8")
    refused = jitui("policy", "publish", file)
    assert refused.code == 1
    assert f"write `policy: {DEFAULT_POLICY.id}` in it, with a version that no text had" in refused.out


def test_doctor_says_what_was_not_confirmed_in_time(
    jitui: Jitui, office: Callable[[str], Person], settings: dict[str, str]
) -> None:
    office("ada")
    assert jitui("pause", "--reason", "A fault.").code == 0
    assert "not confirmed" not in jitui("doctor").out
    with psycopg.connect(settings["JITUI_DATABASE_URL"]) as connection:
        connection.execute("UPDATE confirmation SET confirm_by = now() - interval '1 second'")
    said = jitui("doctor")
    assert said.code == 1 and "pause.set by command line not confirmed, overdue for" in " ".join(said.out.split())


def test_a_text_is_announced_and_what_was_said_of_it_is_recorded(
    jitui: Jitui, office: Callable[[str], Person], file: str
) -> None:
    ada, bo = office("ada"), office("bo")
    for version in ("n", "next"):
        Path(file).write_text(text(version) + "notice_period: 7d\n", "utf-8")
        made = ada("propose", file, "--reason", "Why.", "--json").json["proposal_id"]
        assert bo("approve", made, "--yes").code == 0
        if version == "n":
            assert ada("publish", made).code == 0
    refused = ada("publish", made)
    assert refused.code == 1 and "is not announced" in refused.out
    assert "never announced" in jitui("policy", "opinions", "next").err
    assert "announced, announced" in ada("announce", "next").out
    assert ada("opinion", "next", "--said", "Too high.", "--from", "nobody").code == 2
    assert ada("opinion", "next", "--said", "Too high.", "--from", "merchant").code == 0
    (row,) = jitui("policy", "opinions", "next", "--json").json["opinions"]
    assert (row["said"], row["said_by"], row["recorded_by"]) == ("Too high.", "merchant", "ada")
    assert bo("answer", "next", row["opinion_id"], "--said", "It stays.").code == 0
    assert bo("answer", "next", row["opinion_id"], "--said", "Not at all.").code == 1
    assert "answered: It stays." in jitui("policy", "opinions", "next").out
    (told,) = jitui("policy", "announcements", "--json").json["announcements"]
    assert (told["state"], told["opinions"]) == ("announced", 1)
    assert "from" in ada("publish", made).out  # scheduled for the announced moment
    assert live(jitui) == ["n"] and "next: scheduled" in jitui("policy", "announcements").out
    assert ada("unannounce", "next", "--reason", "Anew.").code == 1


def test_the_live_text_versions_and_files_are_compared_in_any_combination(
    jitui: Jitui, file: str, tmp_path: Path
) -> None:
    assert jitui("migrate").code == 0
    Path(file).write_text(text("3", **{"limit_minor: 30000": "limit_minor: 9000"}), "utf-8")
    assert jitui("policy", "push", file).code == 0
    live = DEFAULT_POLICY.version

    def changed(old: str, new: str) -> list[str]:
        found = jitui("policy", "diff", old, new, "--json")
        assert found.code == (1 if found.json["changes"] else 0)
        return [one["what"] for one in found.json["changes"] if one["name"] == "version"]

    assert changed("live", file) == changed("live", "3") == changed(live, file) == changed(live, "3") == [f"{live} → 3"]
    assert changed("3", "live") == changed(file, live) == [f"3 → {live}"]
    assert changed("live", live) == changed("3", file) == changed("live", "live") == []
    for side in ("4", str(tmp_path / "gone.yaml"), "gone.yaml"):
        assert jitui("policy", "diff", "live", side).code == 2
    beside = tmp_path / "3"
    beside.write_text(text("a file goes first"), "utf-8")
    assert changed("live", str(beside)) == [f"{live} → a file goes first"]


def test_a_buyer_is_allowed_by_two_people(jitui: Jitui, office: Callable[[str], Person], tmp_path: Path) -> None:
    bo = office("bo")

    def select(*words: str) -> Result:
        return jitui("select", "b-9", *words, "--api-key-file", str(tmp_path / "ada"))

    alone = select("allow", "--reason", "Invited.")
    assert alone.code == 2 and "--propose" in alone.err
    assert select("deny", "--reason", "x", "--propose").code == 2
    assert select("allow", "--propose").code == 2  # without a reason
    made = select("allow", "--reason", "Invited.", "--propose", "--json").json
    assert made["kind"] == "allow_buyer" and "b-9" not in str(made)
    shown = bo("approve", made["proposal_id"])  # it asks, and nobody answers
    assert shown.code == 1 and "buyer b-9" in shown.out
    assert bo("approve", made["proposal_id"], "--yes", "--json").json["state"] == "executed"
    assert select("allow", "--reason", "Again.", "--propose").code == 1
    assert select("deny", "--reason", "Fraud.").code == 0
    (waiting,) = jitui("policy", "confirm", "--json").json["confirmations"]
    assert waiting["action"] == "selection.set"
