"""The functions that expressions have beside those of CEL's standard library.

`sum` is ours. `math.greatest`, `math.least` and `lowerAscii` are those of CEL's extensions, which come as a whole; the
tree refuses every other function of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from cel_expr_python import cel
from cel_expr_python.ext.ext_math import ExtMath
from cel_expr_python.ext.ext_strings import ExtStrings

_INT64_LIMIT = 2**63
_STANDARD = "startsWith|endsWith|contains|matches|size|all|exists|exists_one|filter|map|sum"
_EXTENDED = re.compile(rf"\b(math|strings)\b|\.\s*(?!({_STANDARD})\s*\()[A-Za-z]\w*\s*\(")
"""Finds what may be a call of an extension's function; to find too much costs time alone."""


def functions(text: str) -> tuple[cel.CelExtensionBase, ...]:
    """What an environment for this text is made with, for checking and for evaluating.

    With CEL's extensions it takes longer to make, so they are left out where the text calls none of their functions.
    """
    return (_own(), ExtMath(), ExtStrings()) if _EXTENDED.search(text) else (_own(),)


@cache
def _own() -> cel.CelExtensionBase:
    overload = cel.Overload(
        "jitui_list_sum", return_type=cel.Type.INT, parameters=[cel.Type.List(cel.Type.INT)], is_member=True, impl=_sum
    )
    return cel.CelExtension("jitui", [cel.FunctionDecl("sum", [overload])])


def _sum(numbers: Iterable[int]) -> int:
    """The exact sum; the run time makes an error of an exception, so an overflow is unknown."""
    total = sum(numbers)
    if not -_INT64_LIMIT <= total < _INT64_LIMIT:
        raise OverflowError("a sum outside of 64 bits")
    return total
