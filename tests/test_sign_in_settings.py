"""The settings of signing in: single sign-on, passwords, and who needs a second factor."""

from __future__ import annotations

from pathlib import Path

import pytest

from jitui.errors import NotConfigured
from jitui.identity.access import Role
from jitui.settings import environment_for, read_settings
from jitui.settings.sign_in import FactorAt, Pair
from jitui.sign_in_rules import openid_rules, second_factor_roles

HOME = {"HOME": "/home/ada"}


@pytest.fixture
def complete(tmp_path: Path) -> dict[str, str]:
    secret = tmp_path / "secret"
    secret.write_text("open_sesame\n")
    return {
        **HOME,
        "JITUI_PUBLIC_URL": "https://refunds.example.com",
        "JITUI_OPENID_ISSUER": "https://id.example.com/",
        "JITUI_OPENID_CLIENT_ID": "jitui",
        "JITUI_OPENID_CLIENT_SECRET_FILE": str(secret),
    }


def test_an_issuer_stays_as_it_is_written(complete: dict[str, str]) -> None:
    settings = read_settings(complete)
    rules = openid_rules(settings)
    assert rules is not None
    assert (rules.issuer, rules.client_id) == ("https://id.example.com/", "jitui")
    assert (rules.claims.subject, rules.claims.email, rules.claims.roles) == ("sub", "email", ())
    assert (rules.amr, rules.acr, rules.factor_is_ours) == (frozenset(), (), False)
    assert "open_sesame" not in repr(settings)


def test_values_are_read_as_what_they_are_and_a_child_process_reads_the_same(complete: dict[str, str]) -> None:
    given = {
        **complete,
        "JITUI_OPENID_ROLES_CLAIM": "https://example.com/roles",
        "JITUI_OPENID_ROLES": "jitui: admins:admin, desk:operator",
        "JITUI_OPENID_AMR": "otp, hwk",
        "JITUI_OPENID_ACR": "gold silver gold",
        "JITUI_OPENID_SECOND_FACTOR": "Here",
        "JITUI_OPENID_SCOPES": "openid groups",
        "JITUI_PASSWORD_SIGN_IN": "no",
    }
    settings = read_settings(given)
    assert settings.openid_roles == (Pair("jitui: admins", "admin"), Pair("desk", "operator"))
    assert settings.openid_scopes == ("openid", "groups")
    assert settings.openid_second_factor is FactorAt.HERE
    assert read_settings(environment_for(settings, {})) == settings
    rules = openid_rules(settings)
    assert rules is not None
    assert rules.claims.roles == (("jitui: admins", Role.ADMIN), ("desk", Role.OPERATOR))
    assert (rules.amr, rules.acr, rules.factor_is_ours) == (frozenset({"otp", "hwk"}), ("gold", "silver"), True)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("ISSUER", "http://id.example.com", "must be the issuer's address, which begins with https://"),
        ("ISSUER", "id.example.com", "must be the issuer's address"),
        ("ISSUER", "https://id.example.com/?x=1", "must be the issuer's address"),
        ("ISSUER", "https://id.example.com/#x", "must be the issuer's address"),
        ("ISSUER", "https://ada@id.example.com", "must be the issuer's address"),
        ("ISSUER", "https://", "must be the issuer's address"),
        ("ISSUER", "https://[", "must be an address"),
        ("CLIENT_ID", "jitui:1", "must be the id of a client"),
        ("CLIENT_ID", "x" * 201, "must be the id of a client"),
        ("SCOPES", "email", "must be scopes such as"),
        ("ROLES", "admins", "must be values of the claim with a role each"),
        ("ROLES", "admins:admin,,", "must be values of the claim with a role each"),
        ("ROLES", ":admin", "must be values of the claim with a role each"),
        ("ROLES_CLAIM", "two words", "must be the name of a claim"),
        ("SECOND_FACTOR", "nowhere", "must be one of issuer, here"),
    ],
    ids=str,
)
def test_a_bad_value_is_refused(complete: dict[str, str], name: str, text: str, expected: str) -> None:
    with pytest.raises(NotConfigured) as refused:
        read_settings({**complete, f"JITUI_OPENID_{name}": text})
    assert str(refused.value).startswith(f"JITUI_OPENID_{name} {expected}")


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "[::1]", "localhost"])
def test_an_issuer_without_tls_is_one_on_this_machine(complete: dict[str, str], host: str) -> None:
    assert read_settings({**complete, "JITUI_OPENID_ISSUER": f"http://{host}"}).openid_issuer == f"http://{host}"


@pytest.mark.parametrize("left_out", ["OPENID_ISSUER", "OPENID_CLIENT_ID", "OPENID_CLIENT_SECRET_FILE", "PUBLIC_URL"])
def test_half_of_it_is_refused_and_what_is_missing_is_named(complete: dict[str, str], left_out: str) -> None:
    del complete[f"JITUI_{left_out}"]
    with pytest.raises(NotConfigured, match=f"^JITUI_{left_out} must be set too"):
        read_settings(complete)


@pytest.mark.parametrize("one", ["ROLES", "ROLES_CLAIM"])
def test_a_claim_of_roles_and_its_values_go_together(complete: dict[str, str], one: str) -> None:
    with pytest.raises(NotConfigured, match="go together"):
        read_settings({**complete, f"JITUI_OPENID_{one}": "a:admin"})


def test_passwords_are_switched_off_only_where_there_is_another_way() -> None:
    with pytest.raises(NotConfigured, match="nobody could sign in"):
        read_settings({**HOME, "JITUI_PASSWORD_SIGN_IN": "no"})


def test_a_second_factor_is_asked_for_only_where_one_can_be_had(complete: dict[str, str], tmp_path: Path) -> None:
    asked = {"JITUI_SECOND_FACTOR_ROLES": "operator,merchant"}
    keys = {"JITUI_ENCRYPTION_KEY_FILE": complete["JITUI_OPENID_CLIENT_SECRET_FILE"]}
    for given in ({**HOME, **asked}, {**complete, **asked}):
        with pytest.raises(NotConfigured, match="needs JITUI_ENCRYPTION_KEY_FILE"):
            read_settings(given)
    here = {"JITUI_PASSWORD_SIGN_IN": "no", "JITUI_OPENID_SECOND_FACTOR": "here"}
    with pytest.raises(NotConfigured, match="needs JITUI_ENCRYPTION_KEY_FILE"):
        read_settings({**complete, **asked, **here})
    read_settings({**complete, **asked, "JITUI_PASSWORD_SIGN_IN": "no"})
    settings = read_settings({**HOME, **asked, **keys})
    assert second_factor_roles(settings) == {Role.OPERATOR, Role.MERCHANT}


@pytest.mark.parametrize("role", ["buyer", "merchant"])
def test_a_claim_makes_nobody_a_buyer_or_a_merchant(complete: dict[str, str], role: str) -> None:
    given = {**complete, "JITUI_OPENID_ROLES_CLAIM": "groups", "JITUI_OPENID_ROLES": f"x:{role}"}
    with pytest.raises(NotConfigured, match="only `jitui people add` can say"):
        openid_rules(read_settings(given))
