"""The functions that expressions have beside those of CEL's standard library.

`sum` is ours. `math.greatest`, `math.least` and `lowerAscii` are those of CEL's extensions, which come as a whole; the
tree refuses every other function of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from cel_expr_python import cel
from cel_expr_python.ext.ext_math import ExtMath
from cel_expr_python.ext.ext_strings import ExtStrings

_INT64_LIMIT = 2**63


@cache
def functions() -> tuple[cel.CelExtensionBase, ...]:
    """What an environment is made with, for checking and for evaluating."""
    overload = cel.Overload(
        "jitui_list_sum", return_type=cel.Type.INT, parameters=[cel.Type.List(cel.Type.INT)], is_member=True, impl=_sum
    )
    return (cel.CelExtension("jitui", [cel.FunctionDecl("sum", [overload])]), ExtMath(), ExtStrings())


def _sum(numbers: Iterable[int]) -> int:
    """The exact sum; the run time makes an error of an exception, so an overflow is unknown."""
    total = sum(numbers)
    if not -_INT64_LIMIT <= total < _INT64_LIMIT:
        raise OverflowError("a sum outside of 64 bits")
    return total
