"""What people do with webhook endpoints: create, change, and rotate their secrets."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from uuid_utils.compat import uuid7

from jitui.aftersales.changes import OutgoingEventKind
from jitui.aftersales.commands.execute import not_found
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.encryption import NO_KEY, Encryption
from jitui.errors import BadInput
from jitui.webhooks.addresses import AddressRules
from jitui.webhooks.model import EndpointChange, EndpointState, WebhookEndpoint, WebhookEndpoints, Written

MOST_ENDPOINTS = 20
"""Of one shop, and of the platform: every event is sent to each of them."""
LONGEST_DESCRIPTION = 500
DEFAULT_OVERLAP = timedelta(hours=24)
LONGEST_OVERLAP = timedelta(hours=168)

SECRET_PREFIX = "whsec_"
_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class NewEndpoint:
    """A new endpoint with its secret, which is shown this once."""

    endpoint: WebhookEndpoint
    secret: str


@dataclass(frozen=True, slots=True)
class Keeping:
    """What endpoints are kept with."""

    endpoints: WebhookEndpoints
    encryption: Encryption
    rules: AddressRules


async def create_endpoint(
    keeping: Keeping,
    *,
    shop_id: str,
    url: str,
    description: str,
    kinds: Sequence[OutgoingEventKind],
    by: str,
    now: datetime,
) -> NewEndpoint | Refusal:
    """A new endpoint of a shop, or of the platform, for what happens from now on. Raises BadInput for the address."""
    _check_url(keeping.rules, url)
    if not keeping.encryption.is_configured:
        return _not_configured()
    endpoint = WebhookEndpoint(
        endpoint_id=UUID(int=uuid7().int),
        shop_id=shop_id,
        url=url,
        description=description,
        kinds=tuple(sorted(set(kinds))),
        state=EndpointState.ACTIVE,
        created_at=now,
        created_by=by,
    )
    secret = new_secret()
    written = await keeping.endpoints.create(
        endpoint, encrypted(keeping.encryption, endpoint.endpoint_id, secret), most=MOST_ENDPOINTS
    )
    return _refusal(written) or NewEndpoint(endpoint, secret)


async def change_endpoint(keeping: Keeping, endpoint_id: UUID, change: EndpointChange) -> WebhookEndpoint | Refusal:
    """The endpoint as it stands after. Raises BadInput for the address."""
    if change.url is not None:
        _check_url(keeping.rules, change.url)
    written = await keeping.endpoints.change(endpoint_id, change)
    return _refusal(written) or await _stands(keeping, endpoint_id)


async def rotate_secret(
    keeping: Keeping, endpoint_id: UUID, *, overlap: timedelta, now: datetime
) -> NewEndpoint | Refusal:
    """A new secret; both sign until the old one ends after the overlap, so that a receiver can change in between."""
    if not keeping.encryption.is_configured:
        return _not_configured()
    secret = new_secret()
    stored = encrypted(keeping.encryption, endpoint_id, secret)
    if not await keeping.endpoints.rotate_secret(endpoint_id, stored, now=now, old_until=now + overlap):
        return not_found()
    stands = await _stands(keeping, endpoint_id)
    return stands if isinstance(stands, Refusal) else NewEndpoint(stands, secret)


async def renew_secrets(endpoints: WebhookEndpoints, encryption: Encryption) -> int:
    """Encrypt every secret with the first key; how many were not. Raises NotConfigured for one that is unreadable."""

    def renew(endpoint_id: UUID, stored: str) -> str:
        return encryption.renew(stored, _owner(endpoint_id), may_be_unbound=True)

    return await endpoints.renew_secrets(renew)


def new_secret() -> str:
    """256 random bits, in the form that the libraries of Standard Webhooks take."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def encrypted(encryption: Encryption, endpoint_id: UUID, secret: str) -> str:
    """The secret as it is stored."""
    return encryption.encrypt(secret, _owner(endpoint_id))


def decrypted(encryption: Encryption, endpoint_id: UUID, stored: str) -> str:
    """The secret again. Raises NotConfigured where it cannot be decrypted, or is another endpoint's."""
    return encryption.decrypt(stored, _owner(endpoint_id), may_be_unbound=True)


def _owner(endpoint_id: UUID) -> str:
    """A name that no person can have: theirs have no spaces."""
    return f"webhook endpoint {endpoint_id}"


def _check_url(rules: AddressRules, url: str) -> None:
    refused = rules.why_url_refused(url)
    if refused is not None:
        raise BadInput(refused, path="url")


async def _stands(keeping: Keeping, endpoint_id: UUID) -> WebhookEndpoint | Refusal:
    return await keeping.endpoints.get(endpoint_id) or not_found()


def _refusal(written: Written) -> Refusal | None:
    match written:
        case Written.DONE:
            return None
        case Written.NOT_FOUND:
            return not_found()
        case Written.URL_TAKEN:
            return Refusal(
                RefusalCode.WEBHOOK_ENDPOINT_EXISTS,
                "There is an endpoint for this address already; change that one, or rotate its secret.",
                path="url",
            )
        case Written.TOO_MANY:
            return Refusal(
                RefusalCode.TOO_MANY_WEBHOOK_ENDPOINTS,
                f"There are {MOST_ENDPOINTS} endpoints already, as many as there may be; delete one first.",
            )


def _not_configured() -> Refusal:
    return Refusal(RefusalCode.ENCRYPTION_NOT_CONFIGURED, NO_KEY)
