"""A canary draws an exact, stable share of the buyers, independent of the hold-out and of every other canary."""

from __future__ import annotations

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from jitui.policy import drawn_for_canary, held_out
from tests.policy.test_selection import holding_out

SEEDS = st.text("0123456789abcdef", min_size=8, max_size=32)
BUYERS = [f"buyer-{number}" for number in range(20_000)]


def drawn(seed: str, percent: int) -> set[str]:
    return {buyer for buyer in BUYERS if drawn_for_canary(seed, percent, buyer)}


@given(SEEDS, st.integers(1, 99), st.text(max_size=20))
def test_the_draw_is_exact(seed: str, percent: int, buyer: str) -> None:
    # The buyer is drawn when the first 64 bits of this hash are below percent hundredths of 2**64.
    bits = int.from_bytes(sha256(f"canary:{seed}:{buyer}".encode()).digest()[:8], "big")
    assert drawn_for_canary(seed, percent, buyer) == (bits * 100 < percent << 64)


def test_the_share_is_what_was_asked_for() -> None:
    assert drawn("s", 0) == set()
    assert drawn("s", 100) == set(BUYERS)
    for percent in (1, 5, 50):
        share = len(drawn("s", percent)) / len(BUYERS)
        assert abs(share - percent / 100) < 4 * (percent / 100 * (1 - percent / 100) / len(BUYERS)) ** 0.5


@given(SEEDS, st.integers(1, 98), st.text(max_size=20))
def test_a_larger_share_of_the_same_seed_keeps_whom_it_had(seed: str, percent: int, buyer: str) -> None:
    if drawn_for_canary(seed, percent, buyer):
        assert drawn_for_canary(seed, percent + 1, buyer)


def test_the_draw_is_independent_of_the_hold_out_and_of_another_seed() -> None:
    policy = holding_out(20)
    ours, theirs = drawn("one", 20), drawn("two", 20)
    held = {buyer for buyer in BUYERS if held_out(policy, buyer)}
    for other in (held, theirs):
        both = len(ours & other) / len(BUYERS)
        assert 0.035 < both < 0.045
