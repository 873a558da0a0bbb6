"""Whether a webhook is Saleor's: a signature over the exact bytes, with the payload detached and not encoded."""

from __future__ import annotations

from collections.abc import Mapping

MOST_BYTES = 1024 * 1024
ALGORITHM = "RS256"


def is_from_saleor(headers: Mapping[str, str], body: bytes, key_set: Mapping[str, object]) -> bool:
    """Whether the shop whose keys these are (`/.well-known/jwks.json`) signed the body. It is a hint even then."""
    from joserfc.errors import JoseError
    from joserfc.jwk import KeySet
    from joserfc.jws import deserialize_compact

    token = next((value for name, value in headers.items() if name.lower() == "saleor-signature"), "")
    if not token or len(body) > MOST_BYTES:
        return False
    try:
        keys = KeySet.import_key_set(dict(key_set))  # type: ignore[arg-type]  # what is no key set is refused below
        signed = deserialize_compact(token, keys, algorithms=[ALGORITHM], payload=body)
    except (JoseError, ValueError, KeyError, TypeError):
        return False
    return signed.headers().get("b64") is False and signed.payload == body
