"""Pauses, restrictions, lists, coverage and migration from the command line."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Jitui


def test_a_pause_stands_until_it_is_lifted(jitui: Jitui) -> None:
    assert jitui("pause").code == 2, "a pause needs a reason"
    assert jitui("pause", "shop").code == 2, "which shop?"
    assert jitui("pause", "shop", "s-1", "--reason", "checking").code == 0
    assert jitui("pause", "--reason", "storm").code == 0
    assert jitui("pause", "item", "i-1", "--reason", "one\nplatform: paused").code == 0
    assert "one\\nplatform: paused" in jitui("pause", "--list").out, "a reason cannot look like a row of its own"
    assert jitui("pause", "item", "i-1", "--lift").code == 0
    standing = jitui("pause", "--list", "--json").json["pauses"]
    assert [(row["scope"], row["ref"], row["reason"]) for row in standing] == [
        ("shop", "s-1", "checking"),
        ("platform", "", "storm"),
    ]
    assert jitui("pause", "--lift").code == 0
    assert jitui("pause", "--lift").code == 1, "there is nothing left to lift"
    assert [row["scope"] for row in jitui("pause", "--list", "--json").json["pauses"]] == ["shop"]


def test_a_restriction_is_set_listed_and_lifted(jitui: Jitui) -> None:
    assert jitui("restrict", "b-1").code == 2
    rows = jitui("restrict", "b-1", "--reason", "abuse", "--days", "30", "--json").json["restrictions"]
    assert [row["reason"] for row in rows] == ["abuse"]
    assert jitui("restrict", "b-1", "--lift").code == 2, "lifting needs a reason too"
    why = ("--lift", "--reason", "A mistake.")
    (lifted,) = jitui("restrict", "b-1", *why, "--by", "wu.lei", "--json").json["restrictions"]
    assert lifted["lifted_at"] and (lifted["lifted_by"], lifted["lift_reason"]) == ("wu.lei", "A mistake.")
    assert jitui("restrict", "b-1", *why).code == 1


def test_a_restriction_has_its_evidence_and_begins_and_ends_as_it_says(jitui: Jitui) -> None:
    evidence = ("--order", "o-1", "--order", "o-2", "--event", "e-1", "--note", "Eleven.")
    when = ("--starts", "2030-01-01T00:00:00Z", "--days", "2")
    (row,) = jitui("restrict", "b-1", "--reason", "abuse", *evidence, *when, "--json").json["restrictions"]
    assert row["evidence"] == {"order_ids": ["o-1", "o-2"], "event_ids": ["e-1"], "note": "Eleven."}
    assert (row["starts_at"], row["ends_at"]) == ("2030-01-01T00:00:00Z", "2030-01-03T00:00:00Z")
    assert (
        jitui("restrict", "b-2", "--reason", "abuse", "--no-end", "--json").json["restrictions"][0]["ends_at"] is None
    )
    assert "orders: o-1, o-2" in jitui("restrict", "b-1", "--list").out
    assert jitui("restrict", "b-1", "--reason", "abuse", "--starts", "soon").code == 2


def test_an_appeal_is_opened_for_a_buyer_listed_and_decided_by_another_person(jitui: Jitui) -> None:
    (row,) = jitui("restrict", "b-1", "--reason", "abuse", "--by", "li.na", "--json").json["restrictions"]
    opening = ("appeals", "open", row["restriction_id"], "--buyer", "b-1", "--text", "It was the shop.")
    assert jitui(*opening).code == 2, "who does this?"
    appeal = jitui(*opening, "--by", "support", "--json").json
    assert (appeal["state"], appeal["opened_by"]) == ("open", "support")
    assert jitui("appeals", "list", "--json").json["appeals"] == [appeal]
    assert "It was the shop." in jitui("appeals", "show", appeal["appeal_id"]).out
    deciding = ("appeals", "decide", appeal["appeal_id"], "upheld", "--reason", "So it was.")
    assert jitui(*deciding, "--by", "Li.Na").code == 2, "who set it does not decide"
    assert jitui(*deciding, "--by", "wu.lei", "--json").json["state"] == "upheld"
    assert jitui(*deciding, "--by", "wu.lei").code == 1, "a decision is not changed"
    assert jitui("restrict", "b-1", "--list", "--json").json["restrictions"][0]["lift_reason"] == "So it was."
    assert jitui("appeals", "list").out == "There are no such appeals.\n"
    assert [one["state"] for one in jitui("appeals", "list", "--state", "all", "--json").json["appeals"]] == ["upheld"]
    assert jitui("appeals", "show", "nothing").code == 2
    assert jitui("appeals", "decide", appeal["appeal_id"], "perhaps", "--reason", "x", "--by", "wu").code == 2


def test_a_buyer_is_put_on_a_list(jitui: Jitui) -> None:
    assert jitui("select", "b-1", "deny", "--reason", "abuse", "--json").json["verdict"] == "deny"
    assert jitui("select", "b-1", "perhaps").code == 2


def test_coverage_is_set_and_shown_to_the_shop(jitui: Jitui) -> None:
    assert jitui("coverage", "set", "shop", "s-1", "--not-covered").code == 2, "a reason is needed"
    assert jitui("coverage", "set", "shop", "s-1", "--not-covered", "--reason", "late").code == 0
    rows = jitui("coverage", "show", "s-1", "--json").json["coverage"]
    assert [(row["scope"], row["covered"], row["reason"]) for row in rows] == [("shop", False, "late")]
    assert "covered, with every item" in jitui("coverage", "show", "s-2").out
    assert jitui("coverage", "set", "shop", "s-1", "--covered").out == "shop s-1: covered (by command line)\n"


def test_what_a_person_set_is_taken_back_and_gates_are_computed(jitui: Jitui) -> None:
    jitui("migrate")  # which publishes the first policy
    assert jitui("coverage", "unset", "shop", "s-1").code == 1
    jitui("coverage", "set", "shop", "s-1", "--not-covered", "--reason", "late")
    assert jitui("coverage", "unset", "shop", "s-1").out == "shop s-1: the gates of the policy decide again\n"
    assert "covered, with every item" in jitui("coverage", "show", "s-1").out
    done = jitui("coverage", "recompute", "s-1", "--dry-run", "--json").json
    assert (done["computed"], done["dry_run"], done["history"]) == (1, True, [])
    assert jitui("coverage", "recompute").out == "1 place computed, 0 changed.\n"


def test_complaints_are_listed_and_answered(jitui: Jitui) -> None:
    assert jitui("complaints", "list").out == "There are no open complaints.\n"
    nobody = "0197312a-7700-7a18-b577-d6e7f8091a3c"
    assert jitui("complaints", "answer", nobody, "upheld").code == 2, "words are needed"
    assert jitui("complaints", "answer", nobody, "perhaps", "--words", "Yes.").code == 2
    assert jitui("complaints", "answer", "nobody", "upheld", "--words", "Yes.").code == 2
    assert "no complaint" in jitui("complaints", "answer", nobody, "upheld", "--words", "Yes.").err


def test_migrating_shows_where_the_database_stands(
    jitui: Jitui, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JITUI_DATABASE_URL", empty_database_url)
    assert jitui("migrate", "--current", "--json").json["revision"] is None
    done = jitui("migrate", "--json").json
    assert done["revision"] == done["needed"]
    assert jitui("migrate", "--current", "--json").json["revision"] == done["needed"]
