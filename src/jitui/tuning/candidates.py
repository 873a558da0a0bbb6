"""Which values of which parameters are tried: a grid of settings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from jitui.errors import BadInput
from jitui.policy import Policy, PolicyRefused
from jitui.policy.problems import did_you_mean

USUAL_VALUES = 20
MOST_VALUES = 60
MOST_SETTINGS = 200_000
_NUMBER = "(-?(?:0|[1-9][0-9]*))"
_STEPS = re.compile(f"{_NUMBER}:{_NUMBER}:{_NUMBER}")
_LIST = re.compile(f"{_NUMBER}(,{_NUMBER})*")
TRY = "--try"


@dataclass(frozen=True, slots=True)
class Grid:
    """Rising values of each parameter that is tried, the policy's own among them.

    A setting is one value of each; settings are numbered in the order of `settings`.
    """

    values: Mapping[str, tuple[int, ...]]

    @property
    def size(self) -> int:
        """How many settings there are."""
        return prod(self.shape)

    @property
    def shape(self) -> tuple[int, ...]:
        """How many values each parameter has."""
        return tuple(len(values) for values in self.values.values())

    def setting(self, number: int) -> dict[str, int]:
        """The values of a setting, by its number."""
        values = {}
        for name, own in reversed(list(self.values.items())):
            number, place = divmod(number, len(own))
            values[name] = own[place]
        return {name: values[name] for name in self.values}

    def number(self, setting: Mapping[str, int]) -> int:
        """The number of a setting."""
        number = 0
        for name, own in self.values.items():
            number = number * len(own) + own.index(setting[name])
        return number


def read_grid(policy: Policy, tried: Sequence[str]) -> Grid:
    """The grid that the options `--try` ask for: `NAME`, `NAME=1,2,3` or `NAME=FROM:TO:STEP`.

    A name alone: twenty values from half the policy's own to twice as much. Raises BadInput for what is no parameter,
    for values that the policy refuses, and for a grid that is too large.
    """
    own = {one.name: one.value for one in policy.parameters}
    if not own:
        raise BadInput(
            "This policy has no parameters to tune. Give the numbers that may change a name in its section `parameters`"
            " and use the names in the conditions.",
            path="POLICY",
        )
    if not tried:
        raise BadInput(f"Say what to try, as --try {next(iter(own))}=FROM:TO:STEP.", path=TRY)
    values: dict[str, tuple[int, ...]] = {}
    for text in tried:
        name = text.partition("=")[0]
        if name not in own:
            known = did_you_mean(name, list(own)) or f"; there are {', '.join(own)}."
            raise BadInput(f"There is no parameter {name!r}{known}", path=TRY)
        if name in values:
            raise BadInput(f"{name} is given twice.", path=TRY)
        values[name] = _with_own(_values(text, own[name]), own[name])
    grid = Grid(values)
    if grid.size > MOST_SETTINGS:
        raise BadInput(
            f"The grid has {grid.size:,} settings; {MOST_SETTINGS:,} is the most that is compared at once. Try fewer "
            "values (a larger STEP), or fewer parameters together.",
            path=TRY,
        )
    _check_accepted(policy, grid)
    return grid


def _values(text: str, own: int) -> list[int]:
    name, given, wanted = text.partition("=")
    if not given:
        low, high = sorted((own // 2, own * 2)) if own else (0, USUAL_VALUES - 1)
        return [low + (high - low) * place // (USUAL_VALUES - 1) for place in range(USUAL_VALUES)]
    if steps := _STEPS.fullmatch(wanted):
        begin, end, step = (int(one) for one in steps.groups())
        if step <= 0 or end < begin:
            raise BadInput(
                f"{name}: {wanted} has no values; write FROM:TO:STEP upwards, with a STEP above 0.", path=TRY
            )
        if (end - begin) // step >= MOST_VALUES:
            raise BadInput(f"{name}: {wanted} has more than {MOST_VALUES} values; take a larger STEP.", path=TRY)
        return list(range(begin, end + 1, step))
    if _LIST.fullmatch(wanted):
        return [int(one) for one in wanted.split(",")]
    raise BadInput(
        f"{name}: {wanted!r} is neither 1,2,3 nor FROM:TO:STEP in whole numbers; amounts are in minor units, so that "
        "30000 is 300.00.",
        path=TRY,
    )


def _with_own(values: Sequence[int], own: int) -> tuple[int, ...]:
    return tuple(sorted({*values, own}))


def _check_accepted(policy: Policy, grid: Grid) -> None:
    """A value may be out of the range of a cap or share that uses it, or make two numbers of a sentence contradict."""
    for name, values in grid.values.items():
        for value in (values[0], values[-1]):
            try:
                policy.with_parameters({name: value})
            except PolicyRefused as refused:
                raise BadInput(
                    f"The policy refuses {name} = {value}: {refused.problems[0].message}", path=TRY
                ) from None
