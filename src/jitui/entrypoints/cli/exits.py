"""Exit codes that mean something."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jitui.errors import JituiError

FAILED = 1
"""The command ran, and what it checks does not hold."""
BAD_INPUT = 2
UNAVAILABLE = 3
INTERRUPTED = 130
BROKEN_PIPE = 141
TERMINATED = 143


def code_of(error: JituiError) -> int:
    """The exit code of an error of ours."""
    from jitui.errors import BadInput, NotConfigured, Unavailable

    if isinstance(error, BadInput | NotConfigured):
        return BAD_INPUT
    return UNAVAILABLE if isinstance(error, Unavailable) else FAILED
