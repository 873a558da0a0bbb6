"""Migrations go forward, twice is once, and two starters take turns."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg

from jitui.adapters.postgres.migrate import current_revision, newest_revision, upgrade


def test_an_empty_database_is_brought_to_the_newest_revision_once(empty_database_url: str) -> None:
    assert current_revision(empty_database_url) is None
    for _ in range(2):
        upgrade(empty_database_url)
        assert current_revision(empty_database_url) == newest_revision()


def test_two_starters_at_once_both_succeed(empty_database_url: str) -> None:
    with ThreadPoolExecutor(4) as starters:
        list(starters.map(upgrade, [empty_database_url] * 4))
    assert current_revision(empty_database_url) == newest_revision()


def test_data_survive_the_way_from_the_first_revision_to_the_newest(empty_database_url: str) -> None:
    upgrade(empty_database_url, "0001")
    with psycopg.connect(empty_database_url) as connection:
        connection.execute("INSERT INTO shop (shop_id, updated_at) VALUES ('s', now())")
    upgrade(empty_database_url)
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("SELECT shop_id FROM shop").fetchall() == [("s",)]


def test_the_newest_file_is_the_end_of_the_chain() -> None:
    from alembic.script import ScriptDirectory

    from jitui.adapters.postgres.migrate import _config

    assert ScriptDirectory.from_config(_config()).get_current_head() == newest_revision()
