"""Who may do what, and on whose things: plain values by which the API and the console decide (I8).

A permission is a resource and what is done with it. What a role or the scope of a key has no entry for, it may not do.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Role(StrEnum):
    """What a person signs in to do; a buyer and a merchant are bound to one buyer or shop, the others to none."""

    BUYER = "buyer"
    MERCHANT = "merchant"
    SUPPORT = "support"
    RISK = "risk"
    OPERATOR = "operator"
    AUDITOR = "auditor"
    ADMIN = "admin"


ROLE_MEANINGS: Mapping[Role, str] = MappingProxyType(
    {
        Role.BUYER: "one buyer: asks for refunds, sees their own orders",
        Role.MERCHANT: "one shop: decides its tickets, ships, sees its coverage",
        Role.SUPPORT: "answers why a request was, or was not, refunded at once; appeals for buyers",
        Role.RISK: "writes the policy, restricts buyers, decides appeals, pauses places, keeps the lists",
        Role.OPERATOR: "works on tasks and failed refunds, decides for the platform",
        Role.AUDITOR: "reads everything, changes nothing",
        Role.ADMIN: "manages people and keys",
    }
)
"""What each role is for, in a line."""

BOUND_ROLES = frozenset({Role.BUYER, Role.MERCHANT})
"""Roles of people who see the things of one buyer or shop."""


class KeyScope(StrEnum):
    """Whose things an API key sees: everybody's, those of one shop, those of one buyer."""

    PLATFORM = "platform"
    SHOP = "shop"
    BUYER = "buyer"


class Permission(StrEnum):
    """A resource, and whether it is read or changed."""

    REFUND_REQUESTS_READ = "refund_requests:read"
    REFUND_REQUESTS_WRITE = "refund_requests:write"
    REFUND_LINKS_WRITE = "refund_links:write"
    TICKETS_READ = "tickets:read"
    TICKETS_WRITE = "tickets:write"
    ARBITRATIONS_WRITE = "arbitrations:write"
    ARBITRATIONS_DECIDE = "arbitrations:decide"
    ORDERS_READ = "orders:read"
    ORDERS_WRITE = "orders:write"
    PAYMENTS_WRITE = "payments:write"
    DISPUTES_WRITE = "disputes:write"
    SHIPMENTS_WRITE = "shipments:write"
    BUYERS_READ = "buyers:read"
    BUYERS_WRITE = "buyers:write"
    IDENTITY_LINKS_READ = "identity_links:read"
    IDENTITY_LINKS_WRITE = "identity_links:write"
    PERSONAL_DATA_READ = "personal_data:read"
    PERSONAL_DATA_WRITE = "personal_data:write"
    HISTORY_READ = "history:read"
    HISTORY_WRITE = "history:write"
    SHOPS_READ = "shops:read"
    SHOPS_WRITE = "shops:write"
    CATEGORIES_WRITE = "categories:write"
    COVERAGE_READ = "coverage:read"
    COVERAGE_WRITE = "coverage:write"
    COMPLAINTS_READ = "complaints:read"
    COMPLAINTS_WRITE = "complaints:write"
    COMPLAINTS_ANSWER = "complaints:answer"
    REFUNDS_READ = "refunds:read"
    REFUNDS_WRITE = "refunds:write"
    LEDGER_READ = "ledger:read"
    TASKS_READ = "tasks:read"
    TASKS_WRITE = "tasks:write"
    INCIDENTS_READ = "incidents:read"
    INCIDENTS_WRITE = "incidents:write"
    INCIDENTS_DECIDE = "incidents:decide"
    FINANCE_READ = "finance:read"
    FINANCE_CLOSE = "finance:close"
    STATEMENTS_READ = "statements:read"
    CHANGES_READ = "changes:read"
    BUYER_NOTICES_READ = "buyer_notices:read"
    BUYER_NOTICES_WRITE = "buyer_notices:write"
    SHOP_NOTICES_READ = "shop_notices:read"
    SHOP_NOTICES_WRITE = "shop_notices:write"
    NOTICES_READ = "notices:read"
    NOTICES_WRITE = "notices:write"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_WRITE = "webhooks:write"
    PAUSES_READ = "pauses:read"
    PAUSES_WRITE = "pauses:write"
    RESTRICTIONS_READ = "restrictions:read"
    RESTRICTIONS_WRITE = "restrictions:write"
    APPEALS_READ = "appeals:read"
    APPEALS_WRITE = "appeals:write"
    POLICIES_READ = "policies:read"
    POLICIES_WRITE = "policies:write"
    POLICIES_PROPOSE = "policies:propose"
    POLICIES_APPROVE = "policies:approve"
    POLICIES_STOP = "policies:stop"
    METRICS_READ = "metrics:read"
    PEOPLE_READ = "people:read"
    PEOPLE_WRITE = "people:write"
    KEYS_READ = "keys:read"
    KEYS_WRITE = "keys:write"
    AUDIT_READ = "audit:read"


class Reach(StrEnum):
    """On whose things a permission holds: those of one's own buyer or shop, or everybody's."""

    OWN = "own"
    ANY = "any"


Grants = Mapping[Permission, Reach]


def _grants(reach: Reach, *permissions: Permission) -> Grants:
    return MappingProxyType(dict.fromkeys(permissions, reach))


_ANSWERING = (
    Permission.REFUND_REQUESTS_READ,
    Permission.TICKETS_READ,
    Permission.ORDERS_READ,
    Permission.REFUNDS_READ,
    Permission.BUYERS_READ,
    Permission.SHOPS_READ,
    Permission.COVERAGE_READ,
    Permission.COMPLAINTS_READ,
    Permission.HISTORY_READ,
    Permission.INCIDENTS_READ,
    Permission.PAUSES_READ,
    Permission.RESTRICTIONS_READ,
    Permission.APPEALS_READ,
    Permission.POLICIES_READ,
)
"""What it takes to answer why a request was, or was not, refunded at once."""

_OF_PEOPLE = (
    Permission.PEOPLE_READ,
    Permission.PEOPLE_WRITE,
    Permission.KEYS_READ,
    Permission.KEYS_WRITE,
    Permission.AUDIT_READ,
)
"""What no key has: keys are for programs, and a program manages neither people nor keys."""

PEOPLE_ONLY = frozenset({Permission.POLICIES_PROPOSE, Permission.POLICIES_APPROVE, Permission.POLICIES_STOP})
"""What only a person does over HTTP too, by a personal token: programs push texts, and people answer for them (I8)."""

ROLE_GRANTS: Mapping[Role, Grants] = MappingProxyType(
    {
        Role.BUYER: _grants(
            Reach.OWN,
            Permission.REFUND_REQUESTS_READ,
            Permission.REFUND_REQUESTS_WRITE,
            Permission.TICKETS_READ,
            Permission.ARBITRATIONS_WRITE,
            Permission.ORDERS_READ,
            Permission.BUYERS_READ,
            Permission.REFUNDS_READ,
            Permission.RESTRICTIONS_READ,
            Permission.APPEALS_READ,
            Permission.APPEALS_WRITE,
            Permission.BUYER_NOTICES_READ,
            Permission.BUYER_NOTICES_WRITE,
        ),
        Role.MERCHANT: _grants(
            Reach.OWN,
            Permission.REFUND_LINKS_WRITE,
            Permission.SHOP_NOTICES_READ,
            Permission.SHOP_NOTICES_WRITE,
            Permission.TICKETS_READ,
            Permission.TICKETS_WRITE,
            Permission.ARBITRATIONS_WRITE,
            Permission.ORDERS_READ,
            Permission.SHIPMENTS_WRITE,
            Permission.SHOPS_READ,
            Permission.COVERAGE_READ,
            Permission.COMPLAINTS_READ,
            Permission.COMPLAINTS_WRITE,
            Permission.REFUNDS_READ,
            Permission.INCIDENTS_READ,
            Permission.INCIDENTS_WRITE,
            Permission.STATEMENTS_READ,
            Permission.CHANGES_READ,
            Permission.WEBHOOKS_READ,
            Permission.WEBHOOKS_WRITE,
        ),
        Role.SUPPORT: _grants(
            Reach.ANY, *_ANSWERING, Permission.LEDGER_READ, Permission.APPEALS_WRITE, Permission.INCIDENTS_WRITE
        ),
        Role.RISK: _grants(
            Reach.ANY,
            *_ANSWERING,
            Permission.IDENTITY_LINKS_READ,
            Permission.PAUSES_WRITE,
            Permission.RESTRICTIONS_WRITE,
            Permission.APPEALS_WRITE,
            Permission.COVERAGE_WRITE,
            Permission.POLICIES_WRITE,
            Permission.POLICIES_PROPOSE,
            Permission.POLICIES_APPROVE,
            Permission.POLICIES_STOP,
            Permission.COMPLAINTS_ANSWER,
        ),
        Role.OPERATOR: _grants(
            Reach.ANY,
            *_ANSWERING,
            Permission.TICKETS_WRITE,
            Permission.ARBITRATIONS_WRITE,
            Permission.ARBITRATIONS_DECIDE,
            Permission.REFUNDS_WRITE,
            Permission.INCIDENTS_WRITE,
            Permission.INCIDENTS_DECIDE,
            Permission.LEDGER_READ,
            Permission.FINANCE_READ,
            Permission.FINANCE_CLOSE,
            Permission.STATEMENTS_READ,
            Permission.TASKS_READ,
            Permission.TASKS_WRITE,
            Permission.PERSONAL_DATA_READ,
            Permission.PERSONAL_DATA_WRITE,
            Permission.PAUSES_WRITE,
            Permission.POLICIES_APPROVE,
            Permission.POLICIES_STOP,
            Permission.COMPLAINTS_ANSWER,
            Permission.BUYER_NOTICES_READ,
            Permission.BUYER_NOTICES_WRITE,
            Permission.SHOP_NOTICES_READ,
            Permission.SHOP_NOTICES_WRITE,
            Permission.NOTICES_READ,
            Permission.NOTICES_WRITE,
            Permission.CHANGES_READ,
            Permission.WEBHOOKS_READ,
            Permission.WEBHOOKS_WRITE,
            Permission.METRICS_READ,
        ),
        Role.AUDITOR: _grants(Reach.ANY, *(one for one in Permission if one.value.endswith(":read"))),
        Role.ADMIN: _grants(Reach.ANY, *_OF_PEOPLE, Permission.POLICIES_READ, Permission.METRICS_READ),
    }
)
"""What a person of each role may do."""

KEY_GRANTS: Mapping[KeyScope, Grants] = MappingProxyType(
    {
        KeyScope.PLATFORM: _grants(
            Reach.ANY, *(one for one in Permission if one not in _OF_PEOPLE and one not in PEOPLE_ONLY)
        ),
        KeyScope.SHOP: ROLE_GRANTS[Role.MERCHANT],
        KeyScope.BUYER: ROLE_GRANTS[Role.BUYER],
    }
)
"""What a key of each scope may do, unless it was restricted to a part of it."""


def scopes_with(permission: Permission) -> frozenset[KeyScope]:
    """The scopes of keys that may have a permission."""
    return frozenset(scope for scope, grants in KEY_GRANTS.items() if permission in grants)


def allows(grants: Grants, permission: Permission, *, own: bool) -> bool:
    """Whether a permission holds on a thing that is, or is not, of one's own buyer or shop."""
    reach = grants.get(permission)
    return reach is Reach.ANY or (reach is Reach.OWN and own)
