"""The token by which an OpenID Connect issuer says who signed in: signature and claims (OpenID Connect Core, 3.1.3.7).

Pure: keys and time are given. Whatever is not as it must be is a fault, never an exception.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hmac import compare_digest
from typing import TYPE_CHECKING

from jitui.identity.people import SignInFault

if TYPE_CHECKING:
    from joserfc.jwk import Key

Claims = Mapping[str, object]

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA")
"""Signatures by a private key that only the issuer has. HMAC is none: its key would be our client secret."""
CLOCKS_DIFFER_BY = timedelta(seconds=60)
LONGEST_SUBJECT = 255
LONGEST_HEADER_BYTES = 16_000
"""Some issuers send their certificates along; joserfc's own bound is too low for that."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a token has to say of itself."""

    issuer: str
    client_id: str
    nonce: str


def check_id_token(token: str, keys: Sequence[object], expected: Expected, now: datetime) -> Claims | SignInFault:
    """The claims of a token that one of the issuer's `keys` (JSON Web Keys) signed, for us, just now.

    UNKNOWN_KEY means that the issuer may have a key by now that is not among these.
    """
    from joserfc.errors import BadSignatureError, JoseError
    from joserfc.jws import JWSRegistry, extract_compact
    from joserfc.jwt import decode

    registry = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
    registry.max_header_length = LONGEST_HEADER_BYTES
    try:
        header: object = extract_compact(token.encode(), None, registry).headers()
    except (JoseError, ValueError, TypeError):
        return SignInFault.MALFORMED_TOKEN
    if not isinstance(header, dict):
        return SignInFault.MALFORMED_TOKEN
    algorithm, key_id = header.get("alg"), header.get("kid")
    if algorithm == "none":
        return SignInFault.UNSIGNED
    if algorithm not in ALGORITHMS:
        return SignInFault.WRONG_ALGORITHM
    fitting = [key for key in _signing_keys(keys, str(algorithm)) if key_id is None or key.kid == key_id]
    if not fitting:
        return SignInFault.UNKNOWN_KEY
    for key in fitting:
        try:
            return _fault_of(decode(token, key, registry=registry).claims, expected, now)
        except BadSignatureError:
            continue
        except (JoseError, ValueError, TypeError):
            return SignInFault.MALFORMED_TOKEN
    return SignInFault.WRONG_SIGNATURE


def _signing_keys(keys: Sequence[object], algorithm: str) -> list[Key]:
    """Those that can have made a signature of this algorithm; keys that cannot be read are left out."""
    from joserfc.errors import JoseError
    from joserfc.jwk import import_key

    kind = {"R": "RSA", "P": "RSA", "E": "OKP" if algorithm.startswith("Ed") else "EC"}[algorithm[0]]
    found = []
    for key in keys:
        if not isinstance(key, dict) or key.get("kty") != kind or key.get("use", "sig") != "sig":
            continue
        if key.get("alg", algorithm) == algorithm:
            try:
                found.append(import_key(key))
            except (JoseError, ValueError, TypeError):
                continue
    return found


def _fault_of(claims: Claims, expected: Expected, now: datetime) -> Claims | SignInFault:
    """The claims themselves where nothing is wrong with them."""
    fault = _fault_of_parties(claims, expected) or _fault_of_times(claims, now)
    if fault is not None:
        return fault
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not compare_digest(nonce.encode(), expected.nonce.encode()):
        return SignInFault.WRONG_NONCE
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= LONGEST_SUBJECT:
        return SignInFault.MISSING_CLAIM
    return claims


def _fault_of_parties(claims: Claims, expected: Expected) -> SignInFault | None:
    if claims.get("iss") != expected.issuer:
        return SignInFault.WRONG_ISSUER
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    party = claims.get("azp")
    if expected.client_id not in audiences or (party is not None and party != expected.client_id):
        return SignInFault.WRONG_AUDIENCE
    return SignInFault.WRONG_AUDIENCE if len(audiences) > 1 and party is None else None


def _fault_of_times(claims: Claims, now: datetime) -> SignInFault | None:
    """A token is good until its end, give or take what clocks differ by, and comes from no later time than now."""
    at, differ = now.timestamp(), CLOCKS_DIFFER_BY.total_seconds()
    expires_at, issued_at, not_before = (_seconds(claims.get(name)) for name in ("exp", "iat", "nbf"))
    if expires_at is None or issued_at is None:
        return SignInFault.MISSING_CLAIM
    if expires_at + differ <= at or issued_at - differ > at or (not_before or 0) - differ > at:
        return SignInFault.EXPIRED
    return None


def _seconds(value: object) -> float | None:
    """A time of a token: seconds since 1970."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
