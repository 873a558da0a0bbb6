"""Linked accounts from the command line."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Jitui

HASH = "ab" * 32


def test_links_come_from_a_file_and_are_shown(jitui: Jitui, tmp_path: Path) -> None:
    file = tmp_path / "links.csv"
    rows = [f"b-{number},device,{HASH},2026-05-01T00:00:00Z" for number in (1, 2)]
    file.write_text("\n".join(["buyer_id,kind,hash,seen_at", *rows, rows[0]]))
    assert jitui("buyers", "add-links", str(file), "--json").json == {"links": 3, "recorded": 2}
    assert "0 of 3 links are new" in jitui("buyers", "add-links", str(file)).out
    (link,) = jitui("buyers", "links", "b-1", "--json").json["links"]
    assert (link["kind"], link["hash"], link["buyers"], link["links"]) == ("device", HASH, 2, True)
    assert "2 buyers" in jitui("buyers", "links", "b-1").out


def test_nothing_is_taken_of_a_file_with_a_raw_value(jitui: Jitui, tmp_path: Path) -> None:
    file = tmp_path / "links.csv"
    head, good = "buyer_id,kind,hash,seen_at", f"b-1,device,{HASH},2026-05-01T00:00:00Z"
    for bad, what in (
        ("b-1,address,Main Street 12,2026-05-01T00:00:00Z", "hash"),
        (f"b-1,phone,{HASH},2026-05-01T00:00:00Z", "kind"),
        (f"b-1,device,{HASH},yesterday", "time"),
        (f",device,{HASH},2026-05-01T00:00:00Z", "id"),
    ):
        file.write_text("\n".join([head, good, bad]))
        done = jitui("buyers", "add-links", str(file))
        assert done.code == 2 and "line 3" in done.err and what in done.err, done.err
    file.write_text("buyer_id,hash\n")
    assert jitui("buyers", "add-links", str(file)).code == 2
    assert jitui("buyers", "links", "b-1", "--json").json["links"] == []
