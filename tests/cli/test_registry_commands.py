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
    assert jitui("restrict", "b-1", "--lift", "--json").json["restrictions"][0]["lifted_at"]
    assert jitui("restrict", "b-1", "--lift").code == 1


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


def test_migrating_shows_where_the_database_stands(
    jitui: Jitui, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JITUI_DATABASE_URL", empty_database_url)
    assert jitui("migrate", "--current", "--json").json["revision"] is None
    done = jitui("migrate", "--json").json
    assert done["revision"] == done["needed"]
    assert jitui("migrate", "--current", "--json").json["revision"] == done["needed"]
