"""The rules of signing in, as the settings say them in the words of `jitui.identity`."""

from __future__ import annotations

from jitui.errors import NotConfigured
from jitui.identity.access import BOUND_ROLES, Role
from jitui.identity.openid import OpenIdRules
from jitui.identity.openid_person import OpenIdClaims
from jitui.settings import Settings
from jitui.settings.sign_in import FactorAt


def openid_rules(settings: Settings) -> OpenIdRules | None:
    """Whom we believe; None where OpenID Connect is not configured. Raises NotConfigured for an unknown role."""
    if settings.openid_issuer is None or settings.openid_client_id is None:
        return None
    roles = tuple((pair.value, _role(pair.word, "JITUI_OPENID_ROLES")) for pair in settings.openid_roles)
    for value, role in roles:
        if role in BOUND_ROLES:
            told = "of which buyer or shop, only `jitui people add` can say."
            raise NotConfigured(f"JITUI_OPENID_ROLES cannot make {value!r} a {role}: {told}")
    claims = OpenIdClaims(
        subject=settings.openid_subject_claim,
        email=settings.openid_email_claim,
        name=settings.openid_name_claim,
        roles_in=settings.openid_roles_claim or "",
        roles=roles,
    )
    return OpenIdRules(
        settings.openid_issuer,
        settings.openid_client_id,
        claims,
        frozenset(settings.openid_amr),
        settings.openid_acr,
        settings.openid_second_factor is FactorAt.HERE,
    )


def second_factor_roles(settings: Settings) -> frozenset[Role]:
    """The roles that need a second factor. Raises NotConfigured for an unknown role."""
    return frozenset(_role(word, "JITUI_SECOND_FACTOR_ROLES") for word in settings.second_factor_roles)


def _role(word: str, variable: str) -> Role:
    if word not in tuple(Role):
        raise NotConfigured(f"{variable} names {word!r}; the roles are {', '.join(Role)}.")
    return Role(word)
