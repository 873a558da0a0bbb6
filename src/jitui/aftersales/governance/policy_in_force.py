"""The policy in force: the newest publication, which every process reads again every few seconds."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from time import monotonic

from jitui.aftersales.governance.registry import Registry
from jitui.aftersales.ports import Publication, PublishedPolicy
from jitui.errors import NotConfigured
from jitui.policy import Policy, PolicyRefused, PublicPolicy, public_view

RE_READ_SECONDS = 2.0


class PolicyInForce:
    """The live policy, compiled. Pauses take effect at once, because the deciding transaction reads them."""

    def __init__(self, registry: Registry, *, seconds: Callable[[], float] = monotonic) -> None:
        self._registry = registry
        self._seconds = seconds
        self._policy: Policy | None = None
        self._read_at = float("-inf")

    async def current(self) -> Policy:
        """The compiled policy. Raises NotConfigured when no policy was ever published."""
        if self._policy is None or self._seconds() - self._read_at > RE_READ_SECONDS:
            await self._read_again()
        assert self._policy is not None
        return self._policy

    async def _read_again(self) -> None:
        published = await self._registry.live_policy()
        if published is None:
            raise NotConfigured(
                "No policy was ever published: run `jitui migrate`, which publishes the default one,"
                " or `jitui policy publish FILE`."
            )
        if self._policy is None or self._policy.sha256 != published.sha256:
            self._policy = Policy.from_text(published.document, f"{published.policy_id}.yaml")
        self._read_at = self._seconds()


async def publish(registry: Registry, policy: Policy, *, by: str, now: datetime) -> bool:
    """Publish a policy. Returns False when it is live already."""
    live = await registry.live_policy()
    if live is not None and live.sha256 == policy.sha256:
        return False
    row = PublishedPolicy(0, policy.id, policy.version, policy.sha256, policy.text, by, now, public_view(policy))
    await registry.publish_policy(row)
    return True


async def with_public_view(registry: Registry, row: Publication) -> Publication:
    """The row with its public view, which is computed once for rows that an earlier release published without one.

    Compiling takes a while, so a thread does it, and the other requests of the process continue.
    """
    if row.viewed:
        return row
    view = await to_thread(_view_of, row.document)
    await registry.keep_public_view(row.publication, view)
    return replace(row, viewed=True, public_view=view)


def _view_of(document: str) -> PublicPolicy | None:
    """The public view; None for a version that this release can no longer read."""
    try:
        return public_view(Policy.from_text(document))
    except PolicyRefused:
        return None
