"""Who may do what, on whose things: the whole table, written here a second time by hand.

A letter for each role and scope: `o` own things, `a` anybody's, `-` nothing.
"""

from __future__ import annotations

import pytest

from jitui.identity.access import (
    BOUND_ROLES,
    KEY_GRANTS,
    ROLE_GRANTS,
    ROLE_MEANINGS,
    KeyScope,
    Permission,
    Reach,
    Role,
    allows,
    scopes_with,
)

WHO = (*Role, *KeyScope)
TABLE = """
                        buyer merchant support risk operator auditor admin | platform shop buyer
refund_requests:read    o     -        a       a    a        a       -       a        -    o
refund_requests:write   o     -        -       -    -        -       -       a        -    o
refund_links:write      -     o        -       -    -        -       -       a        o    -
tickets:read            o     o        a       a    a        a       -       a        o    o
tickets:write           -     o        -       -    a        -       -       a        o    -
arbitrations:write      o     o        -       -    a        -       -       a        o    o
arbitrations:decide     -     -        -       -    a        -       -       a        -    -
orders:read             o     o        a       a    a        a       -       a        o    o
orders:write            -     -        -       -    -        -       -       a        -    -
payments:write          -     -        -       -    -        -       -       a        -    -
disputes:write          -     -        -       -    -        -       -       a        -    -
shipments:write         -     o        -       -    -        -       -       a        o    -
buyers:read             o     -        a       a    a        a       -       a        -    o
buyers:write            -     -        -       -    -        -       -       a        -    -
identity_links:read     -     -        -       a    -        a       -       a        -    -
identity_links:write    -     -        -       -    -        -       -       a        -    -
personal_data:read      -     -        -       -    a        a       -       a        -    -
personal_data:write     -     -        -       -    a        -       -       a        -    -
history:read            -     -        a       a    a        a       -       a        -    -
history:write           -     -        -       -    -        -       -       a        -    -
shops:read              -     o        a       a    a        a       -       a        o    -
shops:write             -     -        -       -    -        -       -       a        -    -
categories:write        -     -        -       -    -        -       -       a        -    -
coverage:read           -     o        a       a    a        a       -       a        o    -
coverage:write          -     -        -       a    -        -       -       a        -    -
complaints:read         -     o        a       a    a        a       -       a        o    -
complaints:write        -     o        -       -    -        -       -       a        o    -
complaints:answer       -     -        -       a    a        -       -       a        -    -
refunds:read            o     o        a       a    a        a       -       a        o    o
refunds:write           -     -        -       -    a        -       -       a        -    -
ledger:read             -     -        a       -    a        a       -       a        -    -
tasks:read              -     -        -       -    a        a       -       a        -    -
tasks:write             -     -        -       -    a        -       -       a        -    -
incidents:read          -     o        a       a    a        a       -       a        o    -
incidents:write         -     o        a       -    a        -       -       a        o    -
incidents:decide        -     -        -       -    a        -       -       a        -    -
finance:read            -     -        -       -    a        a       -       a        -    -
finance:close           -     -        -       -    a        -       -       a        -    -
statements:read         -     o        -       -    a        a       -       a        o    -
changes:read            -     o        -       -    a        a       -       a        o    -
buyer_notices:read      o     -        -       -    a        a       -       a        -    o
buyer_notices:write     o     -        -       -    a        -       -       a        -    o
shop_notices:read       -     o        -       -    a        a       -       a        o    -
shop_notices:write      -     o        -       -    a        -       -       a        o    -
notices:read            -     -        -       -    a        a       -       a        -    -
notices:write           -     -        -       -    a        -       -       a        -    -
webhooks:read           -     o        -       -    a        a       -       a        o    -
webhooks:write          -     o        -       -    a        -       -       a        o    -
pauses:read             -     -        a       a    a        a       -       a        -    -
pauses:write            -     -        -       a    a        -       -       a        -    -
restrictions:read       o     -        a       a    a        a       -       a        -    o
restrictions:write      -     -        -       a    -        -       -       a        -    -
appeals:read            o     -        a       a    a        a       -       a        -    o
appeals:write           o     -        a       a    -        -       -       a        -    o
policies:read           -     -        a       a    a        a       a       a        -    -
policies:write          -     -        -       a    -        -       -       a        -    -
policies:propose        -     -        -       a    -        -       -       -        -    -
policies:approve        -     -        -       a    a        -       -       -        -    -
policies:stop           -     -        -       a    a        -       -       -        -    -
metrics:read            -     -        -       -    a        a       a       a        -    -
people:read             -     -        -       -    -        a       a       -        -    -
people:write            -     -        -       -    -        -       a       -        -    -
keys:read               -     -        -       -    -        a       a       -        -    -
keys:write              -     -        -       -    -        -       a       -        -    -
audit:read              -     -        -       -    -        a       a       -        -    -
"""
ROWS = [line.split() for line in TABLE.strip().splitlines()[1:]]
CELLS = [(name, who, letter) for name, *letters in ROWS for who, letter in zip(WHO, letters, strict=True)]


def test_the_table_has_a_row_for_every_permission_and_a_column_for_everybody() -> None:
    assert [row[0] for row in ROWS] == [permission.value for permission in Permission]
    head = TABLE.strip().splitlines()[0].replace("|", "").split()
    assert head == [who.value for who in WHO]
    assert len(CELLS) == len(Permission) * (len(Role) + len(KeyScope))


@pytest.mark.parametrize(("name", "who", "letter"), CELLS)
def test_a_role_or_scope_may_do_what_the_table_says_and_nothing_else(
    name: str, who: Role | KeyScope, letter: str
) -> None:
    permission = Permission(name)
    grants = ROLE_GRANTS[who] if isinstance(who, Role) else KEY_GRANTS[who]
    assert allows(grants, permission, own=True) == (letter in "oa")
    assert allows(grants, permission, own=False) == (letter == "a")
    if isinstance(who, KeyScope):
        assert (who in scopes_with(permission)) == (letter in "oa")


def test_whoever_is_bound_to_a_buyer_or_shop_reaches_nobody_elses_things() -> None:
    for role in Role:
        assert set(ROLE_GRANTS[role].values()) == {Reach.OWN if role in BOUND_ROLES else Reach.ANY}
    assert set(ROLE_MEANINGS) == set(Role)
