"""Who the person is whom the OpenID Connect issuer names, and in what role."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from jitui.identity.access import Role
from jitui.identity.id_token import LONGEST_SUBJECT, Claims
from jitui.identity.people import Account, People, Person, SignInFault
from jitui.text import why_no_id

BY_THE_ISSUER = "openid"
"""In the audit log: what the issuer's word changed."""
LONGEST_EMAIL = 254


@dataclass(frozen=True, slots=True)
class OpenIdClaims:
    """Which claims we look at; a name with dots goes into objects. `roles`: the first that a person has is the role.

    Without `roles` nobody is added by a sign-in, and roles are what Jitui has.
    """

    subject: str = "sub"
    email: str = "email"
    name: str = "preferred_username"
    roles_in: str = ""
    roles: tuple[tuple[str, Role], ...] = ()


class Linked(StrEnum):
    """What came of giving a person an identity at the issuer."""

    DONE = "done"
    NO_SUCH_PERSON = "no-such-person"
    TAKEN = "taken"


class Identities(Protocol):
    """What keeps who is who at the issuer."""

    async def by_subject(self, issuer: str, subject: str) -> Account | None: ...

    async def by_email(self, email: str) -> Account | None: ...

    async def link(self, name: str, issuer: str, subject: str, *, by: str, now: datetime) -> Linked: ...

    async def link_first(self, name: str, email: str, issuer: str, subject: str, *, by: str, now: datetime) -> bool: ...

    async def set_email(self, name: str, email: str | None, *, by: str, now: datetime) -> Linked: ...

    async def unlink(self, name: str, *, by: str, now: datetime) -> bool: ...

    async def add(self, person: Person, issuer: str, subject: str, *, by: str, now: datetime) -> bool: ...


async def person_of(
    identities: Identities, people: People, issuer: str, claims_of: OpenIdClaims, claims: Claims, now: datetime
) -> Account | SignInFault:
    """The account of whoever the claims name: by the subject, else by a verified e-mail address, else a new one.

    A new one only where roles come from a claim. Somebody who was added so has the role that the claim gives today.
    """
    subject = claim_of(claims, claims_of.subject)
    if not isinstance(subject, str) or not 0 < len(subject) <= LONGEST_SUBJECT:
        return SignInFault.MISSING_CLAIM
    known = await identities.by_subject(issuer, subject) or await _by_email(
        identities, issuer, subject, claims_of, claims, now
    )
    if isinstance(known, SignInFault):
        return known
    if known is None:
        return await _new_person(identities, issuer, subject, claims_of, claims, now)
    if known.disabled_at is not None:
        return SignInFault.DISABLED
    return await _with_role(people, known, claims_of, claims, now)


async def _by_email(
    identities: Identities, issuer: str, subject: str, claims_of: OpenIdClaims, claims: Claims, now: datetime
) -> Account | SignInFault | None:
    """Somebody who comes for the first time and whose address stands in Jitui; from then on the subject counts."""
    email = claim_of(claims, claims_of.email)
    if not isinstance(email, str) or not 0 < len(email) <= LONGEST_EMAIL:
        return None
    found = await identities.by_email(email.lower())
    if found is None or found.openid_subject is not None:  # an address that somebody else has now opens nothing
        return None
    if claims.get("email_verified") is not True:
        return SignInFault.EMAIL_NOT_VERIFIED
    if found.disabled_at is not None:
        return SignInFault.DISABLED
    name = found.person.name
    await identities.link_first(name, email.lower(), issuer, subject, by=BY_THE_ISSUER, now=now)
    return await identities.by_subject(issuer, subject)


async def _new_person(
    identities: Identities, issuer: str, subject: str, claims_of: OpenIdClaims, claims: Claims, now: datetime
) -> Account | SignInFault:
    if not claims_of.roles:
        return SignInFault.NO_PERSON
    role = role_of(claims, claims_of)
    if role is None:
        return SignInFault.NO_ROLE
    name, shown = claim_of(claims, claims_of.name), claims.get("name")
    if not isinstance(name, str) or why_no_id(name) is not None:
        return SignInFault.MISSING_CLAIM
    display = shown if isinstance(shown, str) and shown.strip() and len(shown) <= 200 else name
    await identities.add(Person(name, role, "", display), issuer, subject, by=BY_THE_ISSUER, now=now)
    return await identities.by_subject(issuer, subject) or SignInFault.NAME_TAKEN


async def _with_role(
    people: People, known: Account, claims_of: OpenIdClaims, claims: Claims, now: datetime
) -> Account | SignInFault:
    """The account in the role that the claim gives; who has none any more is signed out everywhere."""
    if not known.role_from_issuer or not claims_of.roles:
        return known
    role, name = role_of(claims, claims_of), known.person.name
    if role is None:
        await people.end_sessions(name, None, by=BY_THE_ISSUER, now=now)
        return SignInFault.NO_ROLE
    if role is not known.person.role:
        await people.set_role(name, role, "", by=BY_THE_ISSUER, now=now)
    return replace(known, person=replace(known.person, role=role, subject_id=""))


def needed_claims(claims_of: OpenIdClaims, known: Account | None) -> Sequence[str]:
    """The claims by which somebody is found or added; of whom we know, the role at most."""
    roles = [claims_of.roles_in] if claims_of.roles else []
    if known is not None:
        return roles if known.role_from_issuer else []
    return [claims_of.subject, claims_of.email, *([claims_of.name, *roles] if roles else [])]


def role_of(claims: Claims, claims_of: OpenIdClaims) -> Role | None:
    """The first role of the setting that the person has a value for."""
    told = claim_of(claims, claims_of.roles_in)
    values = [told] if isinstance(told, str) else told if isinstance(told, list) else []
    return next((role for value, role in claims_of.roles if value in values), None)


def claim_of(claims: Claims, name: str) -> object:
    """A claim by its name, or by a path into objects: `realm_access.roles`."""
    if name in claims:
        return claims[name]
    here: object = claims
    for part in name.split("."):
        here = here.get(part) if isinstance(here, Mapping) else None
    return here
