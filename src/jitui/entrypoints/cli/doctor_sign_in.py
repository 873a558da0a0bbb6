"""What `jitui doctor` says of signing in: the OpenID Connect issuer, and who needs a second factor."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

from jitui.entrypoints.cli.doctor_operations import DoctorFinding, Level

if TYPE_CHECKING:
    from jitui.adapters.openid_provider import HttpOpenIdProvider
    from jitui.settings import Settings

_PAGE = "docs/how-to/sign-in-with-openid-connect.md"
MONEY_ROLES = ("merchant", "operator")
"""The roles that approve refunds or settle them."""


def sign_in(settings: Settings) -> Iterator[DoctorFinding]:
    """Two findings; the issuer is asked for its discovery document and its keys."""
    yield _openid(settings)
    yield _second_factor(settings)


def _openid(settings: Settings) -> DoctorFinding:
    from jitui.bootstrap import openid_provider
    from jitui.errors import NotConfigured, Unavailable
    from jitui.sign_in_rules import openid_rules

    what = "OpenID Connect"
    try:
        provider = openid_provider(settings) if openid_rules(settings) is not None else None
    except NotConfigured as error:
        return DoctorFinding(what, Level.MISSING, str(error), f"{_PAGE} says how.")
    if provider is None:
        return DoctorFinding(what, Level.ABSENT, "not configured", f"Only single sign-on needs it: {_PAGE}.")
    try:
        keys = asyncio.run(_asked(provider))
    except Unavailable as error:
        return DoctorFinding(what, Level.FAILED, str(error), f"Is JITUI_OPENID_ISSUER right? {_PAGE} says what it is.")
    if not keys:
        return DoctorFinding(what, Level.FAILED, f"{settings.openid_issuer} publishes no keys", f"See {_PAGE}.")
    where = f"sends people back to {provider.redirect_uri}"
    return DoctorFinding(what, Level.OK, f"{settings.openid_issuer} answers, with {keys} keys, and {where}")


async def _asked(provider: HttpOpenIdProvider) -> int:
    async with provider:
        return len(await provider.keys())


def _second_factor(settings: Settings) -> DoctorFinding:
    from jitui.errors import NotConfigured
    from jitui.sign_in_rules import second_factor_roles

    what = "second factor"
    try:
        roles = second_factor_roles(settings)
    except NotConfigured as error:
        return DoctorFinding(what, Level.MISSING, str(error), "`jitui people roles` lists the roles.")
    without = [role for role in MONEY_ROLES if role not in roles]
    if not without:
        return DoctorFinding(what, Level.OK, f"needed by {', '.join(sorted(roles))}")
    found = f"not needed by {' and '.join(without)}, who can move money"
    return DoctorFinding(what, Level.ABSENT, found, f"JITUI_SECOND_FACTOR_ROLES={','.join(MONEY_ROLES)} asks for it.")
