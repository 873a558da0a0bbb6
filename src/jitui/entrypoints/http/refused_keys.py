"""What is told of keys that are refused: a number each, and a line in the log for the first of a kind in a minute."""

from __future__ import annotations

import re
from collections.abc import Callable
from time import monotonic

from jitui.entrypoints.http.log_lines import LogLines
from jitui.entrypoints.http.metrics import Metrics
from jitui.identity.keys import KeyFault
from jitui.logs import get_logger

_OUR_ID = re.compile(r"[0-9a-f]{12}")
"""How ids of ours look; in the place of an id anything may have been sent, a secret too."""
_NAMELESS = (KeyFault.MALFORMED, KeyFault.UNKNOWN)

log = get_logger("jitui.http")


class RefusedKeys:
    """The caller is told nothing of why; whoever runs the service is, without the secret."""

    def __init__(self, metrics: Metrics, *, seconds: Callable[[], float] = monotonic) -> None:
        self._metrics = metrics
        self._lines = LogLines(seconds=seconds)

    def tell(self, fault: KeyFault, key_id: str | None, client: str) -> None:
        """Count it, and write the line unless the same was written within the minute."""
        self._metrics.key_refused(fault.value)
        about = client if fault in _NAMELESS or key_id is None else key_id
        if self._lines.may_write(fault.value, about):
            told = key_id if key_id is not None and _OUR_ID.fullmatch(key_id) else None
            log.warning("api_key_refused", reason=fault.value, key_id=told, client=client)
