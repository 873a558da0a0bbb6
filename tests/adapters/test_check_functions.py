"""The functions of CHECKs say what the expressions said that they replaced (migrations 0014 and 0029)."""

from __future__ import annotations

import itertools
import json

import psycopg

STATES = ("awaiting_merchant", "refunding", "refunded", "refund_failed", "rejected", "withdrawn", "closed")
ARBITRATIONS = [
    dict(zip(("state", "at_fault", "decided_by", "note", "borne_by"), values, strict=True))
    for values in itertools.product(
        ("open", "withdrawn", "denied", "approved", "else", None),
        ("buyer", "somebody", None),
        ("li.na", "", None),
        ("Why.", "", None),
        ("merchant", None),
    )
]
SETTLEMENTS = [
    {"by": by, "confirmed_by": confirmed_by, "attempts": attempts}
    for by, confirmed_by, attempts in itertools.product(
        ("li.na", None), ("li.na", " LI.NA ", "wang", None), (0, 1, None)
    )
]

FITS = """coalesce(CASE a ->> 'state'
    WHEN 'open' THEN s = 'rejected' WHEN 'withdrawn' THEN s = 'rejected' WHEN 'denied' THEN s = 'closed'
    WHEN 'approved' THEN s IN ('refunding', 'refunded', 'refund_failed') END, false)"""
COMPLETE = """a ->> 'state' IN ('open', 'withdrawn')
    OR coalesce(a ->> 'at_fault' IN ('buyer', 'merchant', 'platform', 'nobody')
                AND a ->> 'decided_by' <> '' AND a ->> 'note' <> ''
                AND (a ->> 'state' = 'denied') = (a ->> 'borne_by' IS NULL), false)"""
BY_TWO = """a ->> 'confirmed_by' IS NULL
    OR lower(btrim(normalize(a ->> 'confirmed_by', NFKC))) <> lower(btrim(normalize(a ->> 'by', NFKC)))"""
UNSENT = """s = 'succeeded' AND n = coalesce((a ->> 'attempts')::integer, n) AND (n > 0 OR d IS NULL)"""


def compared(url: str, function: str, expression: str, values: list[object]) -> set[bool | None]:
    """What the function says of all combinations; it must say what the expression says."""
    query = f"""
        SELECT f, e FROM (SELECT {function} AS f, {expression} AS e FROM jsonb_array_elements(%s::jsonb) a,
            unnest(%s::text[]) s, generate_series(0, 1) n, unnest(ARRAY[NULL, now()]) d) both_of"""
    with psycopg.connect(url) as connection:
        rows = connection.execute(query.encode(), (json.dumps(values), [*STATES, "succeeded"])).fetchall()
    assert rows and all(by_function is by_expression for by_function, by_expression in rows)
    return {by_function for by_function, _ in rows}


def test_an_arbitration_is_held_to_the_same_rules(database_url: str) -> None:
    values: list[object] = list(ARBITRATIONS)
    assert compared(database_url, "arbitration_fits_state(a, s)", FITS, values) == {True, False}
    assert compared(database_url, "arbitration_is_complete(a)", COMPLETE, values) >= {True, False}


def test_a_settlement_is_held_to_the_same_rules(database_url: str) -> None:
    values: list[object] = list(SETTLEMENTS)
    assert compared(database_url, "settled_by_two(a)", BY_TWO, values) >= {True, False}
    assert compared(database_url, "settled_unsent(a, s, n, d)", UNSENT, values) == {True, False}


def test_the_checks_call_them_for_rows_that_have_one(database_url: str) -> None:
    query = "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = ANY (%s)"
    wanted = {
        "arbitration_of_a_rejected_ticket": "arbitration IS NULL) OR arbitration_fits_state(arbitration, state)",
        "arbitration_names_fault_and_decider": "arbitration IS NULL) OR arbitration_is_complete(arbitration)",
        "settled_by_two_persons": "settlement IS NULL) OR settled_by_two(settlement)",
        "settled_is_not_sent": "settlement IS NULL) OR settled_unsent(settlement, state, attempt_no, due_at)",
    }
    with psycopg.connect(database_url) as connection:
        found: dict[str, str] = dict(connection.execute(query, (list(wanted),)).fetchall())
    assert set(found) == set(wanted)
    for name, said in wanted.items():
        assert said in found[name], name
