"""The newest publication decides, after a few seconds at most."""

from __future__ import annotations

import pytest

from jitui.aftersales.governance.policy_in_force import RE_READ_SECONDS, PolicyInForce
from jitui.errors import NotConfigured
from jitui.policy import Policy
from tests.aftersales.market import DEFAULT_POLICY, NOW, Market
from tests.policy.policy_samples import SMALL
from tests.publishing import put_in_force


async def test_a_policy_that_was_published_meanwhile_decides_once_the_older_is_two_seconds_old(market: Market) -> None:
    seconds = [100.0]
    in_force = PolicyInForce(market.policies, seconds=lambda: seconds[0])
    with pytest.raises(NotConfigured):
        await in_force.current()
    newer = Policy.from_text(SMALL)
    await put_in_force(market.policies, DEFAULT_POLICY, by="li.na", now=NOW)
    assert (await in_force.current()).sha256 == DEFAULT_POLICY.sha256
    await put_in_force(market.policies, newer, by="li.na", now=NOW)
    decides = []
    for waited in (RE_READ_SECONDS, RE_READ_SECONDS + 0.001):
        seconds[0] = 100.0 + waited
        decides.append((await in_force.current()).id)
    assert decides == [DEFAULT_POLICY.id, newer.id]
