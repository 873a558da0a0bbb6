"""Who somebody is whom the issuer names: by subject, by a verified e-mail address, or added in the role of a claim."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jitui.identity.access import Role
from jitui.identity.openid_person import Linked, OpenIdClaims, claim_of, role_of
from jitui.settings.sign_in import FactorAt, Pair
from tests.console.pages import Visitor, visiting
from tests.openid.issuer import TestIssuer
from tests.openid.site import ADA, SHAN, Site, go, open_site, signed_in

VERIFIED = {"sub": "u-9", "email": "Ada@Example.com", "email_verified": True, "preferred_username": "ada.lovelace"}
ROLES: dict[str, Any] = {
    "openid_roles_claim": "realm_access.roles",
    "openid_roles": (Pair("jitui-admins", "admin"), Pair("jitui-desk", "operator"), Pair("auditors", "auditor")),
}


async def give_email(site: Site, email: str = "ada@example.com") -> None:
    done = await site.service.identities.set_email("ada", email, by="tests", now=site.service.clock())
    assert done is Linked.DONE


async def test_a_verified_address_finds_its_person_once_and_then_the_subject_counts(
    site: Site, visitor: Visitor
) -> None:
    await give_email(site)
    site.issuer.claims = dict(VERIFIED)
    assert (await go(visitor, site)).status_code == 303
    account = await site.service.identities.by_subject(site.issuer.url, "u-9")
    assert account is not None and account.person == ADA
    linked = f'{{"issuer":"{site.issuer.url}","subject":"u-9"}}'
    assert ("person.openid_linked", "ada", "openid", linked) in await site.audit()
    site.issuer.claims = {"sub": "u-9", "email": "another@example.com"}
    await visitor.send("/account", "/sign-out")
    assert (await go(visitor, site)).status_code == 303, "the address may change afterwards"


@pytest.mark.parametrize(
    ("claims", "fault"),
    [
        ({"email_verified": False}, "email_not_verified"),
        ({"email_verified": "true"}, "email_not_verified"),
        ({"email_verified": 1}, "email_not_verified"),
        ({"email": "ada@example.org"}, "no_person"),
        ({"email": ["ada@example.com"]}, "no_person"),
        ({"email": ""}, "no_person"),
        ({"email": "x" * 250 + "@example.com"}, "no_person"),
    ],
    ids=["not verified", "a word", "a number", "another's", "a list", "empty", "too long"],
)
async def test_an_address_that_the_issuer_does_not_vouch_for_finds_nobody(
    site: Site, visitor: Visitor, claims: dict[str, Any], fault: str
) -> None:
    await give_email(site)
    site.issuer.claims = {**VERIFIED, **claims}
    await go(visitor, site)
    assert not signed_in(visitor) and site.counted.reasons == [fault]
    account = await site.service.people.find_account("ada")
    assert account is not None and account[0].openid_subject is None


async def test_an_address_that_somebody_else_has_now_does_not_take_a_person_over(site: Site, visitor: Visitor) -> None:
    await give_email(site)
    await site.link(subject="u-1")
    site.issuer.claims = dict(VERIFIED)
    await go(visitor, site)
    assert not signed_in(visitor) and site.counted.reasons == ["no_person"]


async def test_who_is_disabled_is_not_found_by_an_address_either(site: Site, visitor: Visitor) -> None:
    await give_email(site)
    await site.service.people.set_disabled("ada", True, by="ops", now=site.service.clock())
    site.issuer.claims = dict(VERIFIED)
    await go(visitor, site)
    assert not signed_in(visitor) and site.counted.reasons == ["disabled"]
    account = await site.service.people.find_account("ada")
    assert account is not None and account[0].openid_subject is None


async def test_a_name_at_the_issuer_is_no_proof_of_who_one_is(site: Site, visitor: Visitor) -> None:
    site.issuer.claims = {"sub": "u-9", "preferred_username": "ada"}
    await go(visitor, site)
    assert not signed_in(visitor) and site.counted.reasons == ["no_person"]


async def test_what_the_token_lacks_is_read_from_userinfo(site: Site, visitor: Visitor) -> None:
    await give_email(site)
    site.issuer.claims = {"sub": "u-9"}
    site.issuer.user_info = {"email": "ada@example.com", "email_verified": True}
    assert (await go(visitor, site)).status_code == 303
    assert site.issuer.asked.count("userinfo") == 1


async def test_who_is_known_by_the_subject_needs_no_userinfo(site: Site, visitor: Visitor) -> None:
    await site.link()
    await go(visitor, site)
    assert signed_in(visitor) and "userinfo" not in site.issuer.asked


async def test_the_token_counts_where_userinfo_says_otherwise(
    database_url: str, tmp_path: Path, issuer: TestIssuer
) -> None:
    async with open_site(database_url, tmp_path, issuer, **ROLES) as site, visiting(site.console) as visitor:
        await give_email(site)
        issuer.claims = {**VERIFIED, "email": "other@example.com"}
        issuer.user_info = {"email": "ada@example.com", "realm_access": {"roles": ["auditors"]}}
        await go(visitor, site)
        assert "ada.lovelace · Auditor" in (await visitor.see("/account")).text, "and not ada"


async def test_other_claims_may_name_subject_and_address(database_url: str, tmp_path: Path, issuer: TestIssuer) -> None:
    changed = {"openid_subject_claim": "https://example.com/staff.number", "openid_email_claim": "contact.mail"}
    async with open_site(database_url, tmp_path, issuer, **changed) as site, visiting(site.console) as visitor:
        await site.link(subject="S-7")
        issuer.claims = {"sub": "u-1", "https://example.com/staff.number": "S-7"}
        await go(visitor, site)
        assert signed_in(visitor)
        for wrong in ("", 7, None, "x" * 256):
            issuer.claims = {"sub": "S-7", "https://example.com/staff.number": wrong}
            await go(visitor, site)
        assert site.counted.reasons == ["missing_claim"] * 4


# Roles of a claim ----------------------------------------------------------------------------------------------------


async def test_roles_of_a_claim_add_a_person_and_follow_what_the_issuer_says(
    database_url: str, tmp_path: Path, issuer: TestIssuer
) -> None:
    async with open_site(database_url, tmp_path, issuer, **ROLES) as site, visiting(site.console) as visitor:
        issuer.claims = {
            "sub": "u-3", "preferred_username": "grace", "name": "Grace Hopper",
            "realm_access": {"roles": ["x", "auditors", "jitui-desk"]},
        }  # fmt: skip
        assert (await go(visitor, site)).status_code == 303
        found = await site.service.people.find_account("grace")
        assert found is not None
        account = found[0]
        assert (account.person.role, account.person.display_name) == (Role.OPERATOR, "Grace Hopper"), "the first wins"
        assert (account.role_from_issuer, account.password_set) == (True, False)
        issuer.claims["realm_access"] = {"roles": ["auditors"]}
        async with visiting(site.console) as second:
            await go(second, site)
            assert "grace · Auditor" in (await second.see("/account")).text
        assert (await visitor.get("/account")).status_code == 303, "the session of the old role has ended"
        issuer.claims["realm_access"] = {"roles": []}
        async with visiting(site.console) as third:
            await go(third, site)
            assert not signed_in(third) and site.counted.reasons == ["no_role"]
        told = [row for row in await site.audit() if row[0].startswith("person.")]
        assert [row[0] for row in told] == [
            "person.added", "person.signed_in", "person.role_changed", "person.signed_in", "person.sessions_ended",
        ]  # fmt: skip
        assert {row[2] for row in told if row[0] != "person.signed_in"} == {"openid"}


async def test_who_was_added_by_hand_keeps_the_role_that_was_given_by_hand(
    database_url: str, tmp_path: Path, issuer: TestIssuer
) -> None:
    async with open_site(database_url, tmp_path, issuer, **ROLES) as site, visiting(site.console) as visitor:
        await site.link(SHAN)
        issuer.claims = {"sub": "u-1", "realm_access": {"roles": ["jitui-admins"]}}
        assert (await go(visitor, site)).headers["location"] == "/merchant/tickets"


@pytest.mark.parametrize(
    ("claims", "fault"),
    [
        ({}, "no_role"),
        ({"realm_access": "jitui-admins"}, "no_role"),
        ({"realm_access": {"roles": "jitui-admin"}}, "no_role"),
        ({"realm_access": {"roles": {"jitui-admins": True}}}, "no_role"),
        ({"realm_access": {"roles": [["jitui-admins"]]}}, "no_role"),
        ({"realm_access": {"roles": ["jitui-admins"]}, "preferred_username": "ada"}, "name_taken"),
        ({"realm_access": {"roles": ["jitui-admins"]}, "preferred_username": "two words"}, "missing_claim"),
        ({"realm_access": {"roles": ["jitui-admins"]}, "preferred_username": None}, "missing_claim"),
    ],
    ids=["no claim", "no object", "a part of a value", "an object", "a list in a list", "name of another", "no name",
         "without a name"],
)  # fmt: skip
async def test_nobody_is_added_without_a_role_and_a_name_of_their_own(
    database_url: str, tmp_path: Path, issuer: TestIssuer, claims: dict[str, Any], fault: str
) -> None:
    async with open_site(database_url, tmp_path, issuer, **ROLES) as site, visiting(site.console) as visitor:
        before = await site.service.people.accounts()
        issuer.claims = {"sub": "u-3", "preferred_username": "grace", **claims}
        await go(visitor, site)
        assert not signed_in(visitor) and site.counted.reasons == [fault]
        assert await site.service.people.accounts() == before


async def test_two_browsers_that_come_first_at_once_add_one_person(
    database_url: str, tmp_path: Path, issuer: TestIssuer
) -> None:
    async with open_site(database_url, tmp_path, issuer, **ROLES) as site, AsyncExitStack() as stack:
        issuer.claims = {"sub": "u-3", "preferred_username": "grace", "realm_access": {"roles": "auditors"}}
        visitors = [await stack.enter_async_context(visiting(site.console)) for _ in range(4)]
        done = await asyncio.gather(*(go(visitor, site) for visitor in visitors))
        assert [one.status_code for one in done] == [303] * 4
        assert len(await site.service.people.accounts()) == 3


async def test_two_people_cannot_be_one_at_the_issuer(site: Site) -> None:
    now, identities = site.service.clock(), site.service.identities
    await site.link(ADA)
    assert await identities.link("shan", site.issuer.url, "u-1", by="x", now=now) is Linked.TAKEN
    assert await identities.set_email("ada", "a@example.com", by="x", now=now) is Linked.DONE
    assert await identities.set_email("shan", "a@example.com", by="x", now=now) is Linked.TAKEN
    for done in (
        await identities.link("nobody", site.issuer.url, "u-2", by="x", now=now),
        await identities.set_email("nobody", "n@example.com", by="x", now=now),
    ):
        assert done is Linked.NO_SUCH_PERSON
    assert not await identities.unlink("shan", by="x", now=now)
    assert await identities.unlink("ada", by="x", now=now)
    assert await identities.by_subject(site.issuer.url, "u-1") is None


async def test_a_first_sign_in_links_only_whom_nobody_linked_meanwhile(site: Site) -> None:
    """Between reading the account and writing, somebody else may have linked, disabled or renamed it."""
    now, identities, people = site.service.clock(), site.service.identities, site.service.people
    await give_email(site)

    async def first(subject: str, email: str = "ada@example.com") -> bool:
        return await identities.link_first("ada", email, site.issuer.url, subject, by="openid", now=now)

    assert not await first("u-8", "former@example.com")
    await people.set_disabled("ada", True, by="ops", now=now)
    assert not await first("u-8")
    await people.set_disabled("ada", False, by="ops", now=now)
    assert [await first("u-8"), await first("u-9")] == [True, False]
    assert await identities.by_subject(site.issuer.url, "u-9") is None


async def test_linking_and_unlinking_end_what_the_person_was_signed_in_by(site: Site, visitor: Visitor) -> None:
    await site.link()
    await go(visitor, site)
    await site.service.identities.unlink("ada", by="ops", now=site.service.clock())
    assert (await visitor.get("/account")).status_code == 303
    await site.link()
    await go(visitor, site)
    await site.link(subject="u-5")
    assert (await visitor.get("/account")).status_code == 303


# Laws ---------------------------------------------------------------------------------------------------------------

WORDS = st.sampled_from(["a", "b", "c", "jitui-admins"])


@given(st.lists(WORDS), st.lists(st.tuples(WORDS, st.sampled_from([Role.ADMIN, Role.RISK])), max_size=4))
def test_the_role_is_that_of_the_first_pair_whose_value_one_has(had: list[str], pairs: list[tuple[str, Role]]) -> None:
    claims_of = OpenIdClaims(roles_in="groups", roles=tuple(pairs))
    expected = [role for value, role in pairs if value in had]
    assert role_of({"groups": had}, claims_of) is (expected[0] if expected else None)


def test_a_claim_is_found_by_its_name_before_it_is_looked_for_within_objects() -> None:
    claims = {"a.b": 1, "a": {"b": 2, "c": {"d": 3}}}
    assert [claim_of(claims, name) for name in ("a.b", "a.c.d", "a.x", "x", "a.b.c")] == [1, 3, None, None, None]


# The second factor --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "claims", "comes_in"),
    [
        ({"openid_amr": ("otp", "hwk")}, {"amr": ["pwd", "otp"]}, True),
        ({"openid_amr": ("otp", "hwk")}, {"amr": ["pwd"]}, False),
        ({"openid_amr": ("otp", "hwk")}, {"amr": "otp"}, False),
        ({"openid_amr": ("otp", "hwk")}, {}, False),
        ({"openid_acr": ("2", "gold")}, {"acr": "gold"}, True),
        ({"openid_acr": ("2", "gold")}, {"acr": "1"}, False),
        ({"openid_acr": ("2", "gold")}, {"acr": ["gold"]}, False),
        ({"openid_acr": ("2",), "openid_amr": ("otp",)}, {"acr": "2"}, False),
        ({"openid_acr": ("2",), "openid_amr": ("otp",)}, {"acr": "2", "amr": ["otp"]}, True),
    ],
    ids=["amr", "other amr", "amr as a word", "no amr", "acr", "other acr", "acr as a list", "one of two", "both"],
)
async def test_what_the_issuer_must_have_asked_for(
    database_url: str, tmp_path: Path, issuer: TestIssuer, changed: Any, claims: dict[str, Any], comes_in: bool
) -> None:
    async with open_site(database_url, tmp_path, issuer, **changed) as site, visiting(site.console) as visitor:
        await site.link()
        issuer.claims |= claims
        got = await go(visitor, site)
        assert signed_in(visitor) is comes_in
        if not comes_in:
            assert "did not ask you for a second factor" in got.text
            assert site.counted.reasons == ["factor_missing"]
        asked = (await visitor.get("/sign-in/openid")).headers["location"]
        assert ("acr_values=" in asked) is ("openid_acr" in changed)


async def test_by_default_the_issuer_is_trusted_for_the_second_factor(
    database_url: str, tmp_path: Path, issuer: TestIssuer
) -> None:
    roles = {"second_factor_roles": ("merchant",)}
    async with open_site(database_url, tmp_path, issuer, **roles) as site, visiting(site.console) as visitor:
        await site.link(SHAN)
        await go(visitor, site)
        assert (await visitor.get("/merchant/tickets")).status_code == 200
    changed: Any = {**roles, "openid_second_factor": FactorAt.HERE}
    async with open_site(database_url, tmp_path, issuer, **changed) as site, visiting(site.console) as visitor:
        await go(visitor, site)
        assert (await visitor.get("/merchant/tickets")).headers["location"] == "/account"
