"""The audit log from the command line."""

from __future__ import annotations

import psycopg

from tests.cli.conftest import Jitui


def test_what_was_done_is_listed_and_the_log_is_verified(jitui: Jitui, database_url: str) -> None:
    assert jitui("audit", "list").out == "Nothing was written down.\n"
    jitui("pause", "shop", "s-1", "--reason", "one\n2  forged", "--by", "ada")
    jitui("pause", "shop", "s-1", "--lift", "--by", "bo")
    jitui("people", "invite", "eve", "--role", "risk", "--by", "ada")
    told = jitui("audit", "list").out.splitlines()
    assert len(told) == 4
    assert told[0].endswith("person.link_made  eve  by ada" + told[0].partition("by ada")[2])
    assert [line.split("  ")[0] for line in told] == ["4", "3", "2", "1"]
    rows = jitui("audit", "list", "--actor", "ada", "--action", "pause.set", "--json").json["events"]
    assert [(row["subject"], row["detail"]) for row in rows] == [("shop s-1", {"reason": "one\n2  forged"})]
    assert jitui("audit", "list", "--subject", "eve", "--limit", "1", "--json").json["events"][0]["number"] == 4
    assert jitui("audit", "list", "--before", "2", "--json").json["events"][0]["number"] == 1
    assert jitui("audit", "list", "--action", "tea").code == 2

    whole = jitui("audit", "verify")
    assert whole.code == 0
    said, head = whole.out.splitlines()
    assert said == "4 rows, all as they were written."
    assert jitui("audit", "verify", "--noted", head, "--json").json == {
        "rows": 4,
        "head": head,
        "faults": [],
        "redacted": [],
    }
    assert jitui("audit", "verify", "--noted", "4:nonsense").code == 2

    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE audit_event DISABLE TRIGGER ALL")
        connection.execute("UPDATE audit_event SET actor = 'mallory' WHERE number = 2")
        connection.execute("DELETE FROM audit_event WHERE number = 3")
    broken = jitui("audit", "verify")
    assert broken.code == 1
    assert broken.out.splitlines()[:2] == [
        "Row 2 was changed: it is not what its hash was made of.",
        "Row 3 is gone.",
    ]
    faults = jitui("audit", "verify", "--noted", head, "--json").json["faults"]
    assert [(fault["kind"], fault["number"]) for fault in faults] == [("changed", 2), ("removed", 3)]
