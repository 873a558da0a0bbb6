"""Opens the connection to a merchant's shop on Kuaishou."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime

import msgspec

from jitui.adapters.platforms.access import PlatformAccess
from jitui.adapters.platforms.kuaishou.answers import Tokens
from jitui.adapters.platforms.kuaishou.client import KuaishouClient
from jitui.adapters.platforms.kuaishou.credentials import Credentials, credentials_in
from jitui.adapters.platforms.kuaishou.requests import KuaishouOptions, KuaishouRequests, problem_of
from jitui.aftersales.platform import CallFailed, CallRefused
from jitui.errors import NotConfigured, Unavailable

GATEWAY = "https://openapi.kwaixiaodian.com"
Clock = Callable[[], datetime]


def _utc_now() -> datetime:
    return datetime.now(UTC)


async def open_kuaishou(
    access: PlatformAccess, stack: AsyncExitStack, options: KuaishouOptions | None = None, clock: Clock = _utc_now
) -> KuaishouRequests:
    """The source of requests; it calls nobody. Raises NotConfigured for a secret that lacks a line."""
    credentials = credentials_in(access.secret)
    made = await stack.enter_async_context(_client(access, credentials, clock))
    return KuaishouRequests(made, credentials, options)


async def renewed_secret(access: PlatformAccess) -> str:
    """The secret file's new text, with a new access token and refresh token: the old refresh token ends with this.

    An access token lasts two days and a refresh token half a year from the merchant's authorisation. Raises
    NotConfigured where `app secret` or `refresh token` is missing, Unavailable when Kuaishou does not renew it.
    """
    credentials = credentials_in(access.secret)
    if not credentials.app_secret or not credentials.refresh_token:
        raise NotConfigured("To renew Kuaishou's token the secret file needs `app secret` and `refresh token`.")
    async with _client(access, credentials, _utc_now) as client:
        answer = await client.renewed()
    if isinstance(answer, CallFailed | CallRefused):
        raise Unavailable(problem_of(answer))
    try:
        tokens = msgspec.convert(answer, Tokens, strict=False)
    except msgspec.ValidationError as error:
        raise Unavailable(f"Kuaishou answered with no tokens: {error}.") from error
    kept = tokens.refresh_token or credentials.refresh_token
    return replace(credentials, access_token=tokens.access_token, refresh_token=kept).text()


def _client(access: PlatformAccess, credentials: Credentials, clock: Clock) -> KuaishouClient:
    return KuaishouClient(
        base_url=access.url or GATEWAY,
        credentials=credentials,
        timeout_seconds=access.timeout_seconds,
        clock=clock,
    )
