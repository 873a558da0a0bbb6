"""The public view of a policy says so when the policy has private conditions."""

from __future__ import annotations

import pytest

from jitui.policy import Policy, public_view
from tests.policy.policy_samples import SMALL


@pytest.mark.parametrize(
    ("conditions", "published", "others"),
    [
        (("public: true",), ["a"], False),
        (("public: false",), [], True),
        (("public: true", "public: false"), ["a"], True),
        (("public: true", "public: true"), ["a", "b"], False),
    ],
)
def test_other_factors_are_said_where_a_condition_is_not_published(
    conditions: tuple[str, ...], published: list[str], others: bool
) -> None:
    first, rest = SMALL.split("  - {id: a", 1)
    rest = rest.split("\n", 1)[1]
    rows = "".join(
        f"  - {{id: {name}, when: good, {public}, text: {{zh: 甲, en: A}}}}\n"
        for name, public in zip("ab", conditions, strict=False)
    )
    view = public_view(Policy.from_text(first + rows + rest))
    assert ([one.id for one in view.conditions], view.other_factors) == (published, others)
