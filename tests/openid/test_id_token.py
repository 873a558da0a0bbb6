"""Which tokens are believed: all that is not the issuer's own word to us, just now, is refused with its reason."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import OctKey, OKPKey

from jitui.identity.id_token import Expected, check_id_token
from jitui.identity.people import SignInFault
from tests.openid.issuer import CLIENT_SECRET, key, signed

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
AT = int(NOW.timestamp())
EXPECTED = Expected("https://id.example.com", "jitui", "n-1")
CLAIMS: dict[str, Any] = {
    "iss": "https://id.example.com", "aud": "jitui", "sub": "u-1", "nonce": "n-1", "exp": AT + 300, "iat": AT,
}  # fmt: skip
RSA, EC = key("RS256"), key("ES256")
KEYS = [RSA.as_dict(private=False), EC.as_dict(private=False)]


def check(token: str, keys: list[Any] = KEYS) -> object:
    return check_id_token(token, keys, EXPECTED, NOW)


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.mark.parametrize("by", [RSA, EC], ids=["RS256", "ES256"])
@pytest.mark.parametrize("with_id", [True, False], ids=["key id", "no key id"])
def test_the_issuers_token_is_believed(by: Any, with_id: bool) -> None:
    assert check(signed(CLAIMS, by, **({} if with_id else {"kid": None}))) == CLAIMS


def free_of_algorithm(by: Any) -> dict[str, Any]:
    return {name: value for name, value in by.as_dict(private=False).items() if name != "alg"}


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
@pytest.mark.parametrize("algorithm", ["RS512", "PS256", "ES384", "Ed25519", "EdDSA"])
def test_other_signatures_by_a_private_key_are_believed(algorithm: str) -> None:
    by = OKPKey.generate_key("Ed25519", {"kid": "ed"}) if algorithm.startswith("Ed") else None
    made = by or (key("ES384") if algorithm == "ES384" else key("RS256"))
    assert check(signed(CLAIMS, made, alg=algorithm), [free_of_algorithm(made)]) == CLAIMS


CHANGED: dict[str, tuple[dict[str, Any], SignInFault]] = {
    "wrong nonce": ({"nonce": "n-2"}, SignInFault.WRONG_NONCE),
    "no nonce": ({"nonce": None}, SignInFault.WRONG_NONCE),
    "a nonce that is no text": ({"nonce": ["n-1"]}, SignInFault.WRONG_NONCE),
    "other audience": ({"aud": "another"}, SignInFault.WRONG_AUDIENCE),
    "no audience": ({"aud": None}, SignInFault.WRONG_AUDIENCE),
    "audience by a part of its name": ({"aud": "jitui-2"}, SignInFault.WRONG_AUDIENCE),
    "several audiences, none of them ours": ({"aud": ["a", "b"]}, SignInFault.WRONG_AUDIENCE),
    "several audiences, made for nobody": ({"aud": ["jitui", "b"]}, SignInFault.WRONG_AUDIENCE),
    "several audiences, made for another": ({"aud": ["jitui", "b"], "azp": "b"}, SignInFault.WRONG_AUDIENCE),
    "made for another": ({"azp": "b"}, SignInFault.WRONG_AUDIENCE),
    "other issuer": ({"iss": "https://evil.example.com"}, SignInFault.WRONG_ISSUER),
    "issuer with a slash more": ({"iss": "https://id.example.com/"}, SignInFault.WRONG_ISSUER),
    "no issuer": ({"iss": None}, SignInFault.WRONG_ISSUER),
    "expired": ({"exp": AT - 60}, SignInFault.EXPIRED),
    "no end": ({"exp": None}, SignInFault.MISSING_CLAIM),
    "an end that is a text": ({"exp": "tomorrow"}, SignInFault.MISSING_CLAIM),
    "an end that is true": ({"exp": True}, SignInFault.MISSING_CLAIM),
    "no beginning": ({"iat": None}, SignInFault.MISSING_CLAIM),
    "issued in the future": ({"iat": AT + 61}, SignInFault.EXPIRED),
    "not good yet": ({"nbf": AT + 61}, SignInFault.EXPIRED),
    "no subject": ({"sub": None}, SignInFault.MISSING_CLAIM),
    "an empty subject": ({"sub": ""}, SignInFault.MISSING_CLAIM),
    "a subject that is no text": ({"sub": 7}, SignInFault.MISSING_CLAIM),
    "a subject too long": ({"sub": "x" * 256}, SignInFault.MISSING_CLAIM),
}


@pytest.mark.parametrize("what", CHANGED)
def test_a_claim_that_is_not_as_it_must_be(what: str) -> None:
    changed, fault = CHANGED[what]
    claims = {name: value for name, value in {**CLAIMS, **changed}.items() if value is not None}
    assert check(signed(claims, RSA)) is fault


GOOD: dict[str, dict[str, Any]] = {
    "clocks differ at the end": {"exp": AT - 59},
    "clocks differ at the beginning": {"iat": AT + 60, "nbf": AT + 60},
    "a list of one audience": {"aud": ["jitui"]},
    "several audiences, made for us": {"aud": ["b", "jitui"], "azp": "jitui"},
    "times with fractions": {"exp": AT + 0.5, "iat": AT - 0.5},
    "the longest subject": {"sub": "x" * 255},
}


def test_a_header_with_certificates_is_believed() -> None:
    assert check(signed(CLAIMS, RSA, x5c=["x" * 10_000])) == CLAIMS


@pytest.mark.parametrize("what", GOOD)
def test_what_the_standard_allows_is_believed(what: str) -> None:
    claims = {**CLAIMS, **GOOD[what]}
    assert check(signed(claims, RSA)) == claims


def by_hmac(secret: bytes) -> str:
    return signed(CLAIMS, OctKey.import_key(secret), alg="HS256", kid=RSA.kid)


FORGED: dict[str, tuple[Callable[[], str], SignInFault]] = {
    "unsigned": (lambda: f"{part({'alg': 'none'})}.{part(CLAIMS)}.", SignInFault.UNSIGNED),
    "unsigned, with a key's id": (
        lambda: f"{part({'alg': 'none', 'kid': RSA.kid})}.{part(CLAIMS)}.", SignInFault.UNSIGNED,
    ),
    "unsigned, spelt otherwise": (
        lambda: f"{part({'alg': 'nOnE'})}.{part(CLAIMS)}.", SignInFault.WRONG_ALGORITHM,
    ),
    "a header that is a list": (lambda: f"{part(['alg'])}.{part(CLAIMS)}.x", SignInFault.MALFORMED_TOKEN),
    "an algorithm that is a list": (
        lambda: f"{part({'alg': ['RS256']})}.{part(CLAIMS)}.x", SignInFault.WRONG_ALGORITHM,
    ),
    "a key id that is an object": (
        lambda: f"{part({'alg': 'RS256', 'kid': {}})}.{part(CLAIMS)}.x", SignInFault.UNKNOWN_KEY,
    ),
    "a header that must be understood and is not": (
        lambda: signed_text(json.dumps(CLAIMS), crit=["x-unknown"], **{"x-unknown": 1}), SignInFault.MALFORMED_TOKEN,
    ),
    "no algorithm": (lambda: f"{part({})}.{part(CLAIMS)}.", SignInFault.MALFORMED_TOKEN),
    "HMAC by the public key": (lambda: by_hmac(json.dumps(KEYS[0]).encode()), SignInFault.WRONG_ALGORITHM),
    "HMAC by our client secret": (lambda: by_hmac(CLIENT_SECRET.encode()), SignInFault.WRONG_ALGORITHM),
    "another's key": (lambda: signed(CLAIMS, key("RS256", "evil")), SignInFault.UNKNOWN_KEY),
    "another's key under our key's id": (
        lambda: signed(CLAIMS, key("RS256", "evil"), kid=RSA.kid), SignInFault.WRONG_SIGNATURE,
    ),
    "another's key without an id": (
        lambda: signed(CLAIMS, key("RS256", "evil"), kid=None), SignInFault.WRONG_SIGNATURE,
    ),
    "a key within the token": (
        lambda: signed(CLAIMS, key("RS256", "evil"), kid=RSA.kid, jwk=key("RS256", "evil").as_dict(private=False)),
        SignInFault.WRONG_SIGNATURE,
    ),
    "an algorithm of another kind of key": (
        lambda: signed(CLAIMS, key("RS256", "evil"), kid=EC.kid), SignInFault.UNKNOWN_KEY,
    ),
    "an algorithm that the key is not for": (lambda: signed(CLAIMS, RSA, alg="PS256"), SignInFault.UNKNOWN_KEY),
    "other claims under a good signature": (
        lambda: ".".join([(one := signed(CLAIMS, RSA).split("."))[0], part({**CLAIMS, "sub": "u-2"}), one[2]]),
        SignInFault.WRONG_SIGNATURE,
    ),
    "a list of claims": (lambda: signed_text("[1]"), SignInFault.MALFORMED_TOKEN),
    "nothing": (lambda: "", SignInFault.MALFORMED_TOKEN),
    "dots": (lambda: "..", SignInFault.MALFORMED_TOKEN),
    "no token": (lambda: "eyJhbGciOiJSUzI1NiJ9", SignInFault.MALFORMED_TOKEN),
    "an encrypted token": (lambda: "a.b.c.d.e", SignInFault.MALFORMED_TOKEN),
    "signs of another alphabet": (lambda: "令.牌.牌", SignInFault.MALFORMED_TOKEN),
}  # fmt: skip


def signed_text(text: str, **header: Any) -> str:
    head = {"alg": "RS256", "kid": RSA.kid, **header}
    segments = f"{part(head)}.{base64.urlsafe_b64encode(text.encode()).decode().rstrip('=')}"
    registry = jws.JWSRegistry(algorithms=["RS256"])
    signature = registry.get_alg("RS256").sign(segments.encode(), RSA)
    return f"{segments}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


@pytest.mark.parametrize("what", FORGED)
def test_a_forged_token(what: str) -> None:
    made, fault = FORGED[what]
    assert check(made()) is fault


def test_a_symmetric_key_that_the_issuer_publishes_signs_nothing() -> None:
    """Neither by HMAC nor by a key of the same id."""
    secret = OctKey.import_key(b"k" * 32, {"kid": "one"})
    assert check(signed(CLAIMS, secret, alg="HS256", kid="one"), [secret.as_dict()]) is SignInFault.WRONG_ALGORITHM
    assert check(signed(CLAIMS, RSA), [{**secret.as_dict(), "kid": RSA.kid}]) is SignInFault.UNKNOWN_KEY


def test_keys_that_cannot_be_read_and_keys_for_other_things_are_passed_over() -> None:
    odd = [None, 7, {}, {"kty": "RSA"}, {"kty": "RSA", "kid": RSA.kid, "n": "!", "e": "AQAB"}, {"kty": "PQ"}]
    assert check(signed(CLAIMS, RSA), [*odd, *KEYS]) == CLAIMS
    encrypting = {**RSA.as_dict(private=False), "use": "enc"}
    assert check(signed(CLAIMS, RSA), [encrypting]) is SignInFault.UNKNOWN_KEY


def test_an_old_and_a_new_key_of_one_id_are_both_tried() -> None:
    old = {**key("RS256", "old").as_dict(private=False), "kid": RSA.kid}
    assert check(signed(CLAIMS, RSA), [old, *KEYS]) == CLAIMS


@settings(deadline=None)  # a signature takes its time
@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
def test_no_text_whatever_raises(text: str) -> None:
    assert isinstance(check(text), SignInFault)
    assert isinstance(check(f"{part({'alg': 'RS256', 'kid': RSA.kid})}.{part(CLAIMS)}.{text}"), SignInFault)


VALUES = st.none() | st.integers() | st.text() | st.booleans() | st.lists(st.text())


@settings(deadline=None)  # a signature takes its time
@given(st.dictionaries(st.sampled_from([*CLAIMS, "azp", "nbf"]), VALUES))
def test_whatever_the_claims_are_only_the_right_ones_are_believed(changed: dict[str, Any]) -> None:
    claims = {**CLAIMS, **changed}
    found = check(signed(claims, RSA))
    if not isinstance(found, SignInFault):
        assert (claims["iss"], claims["nonce"]) == (CLAIMS["iss"], CLAIMS["nonce"])
        assert claims["aud"] in ("jitui", ["jitui"]) or claims["azp"] == "jitui"
