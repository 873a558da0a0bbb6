"""The policies in force, compiled; every process reads the publication log again every few seconds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from time import monotonic

from jitui.aftersales.deciding import Canary, Deciding
from jitui.aftersales.governance.policies import LogReading, Policies
from jitui.aftersales.governance.publication import InForce, LogEntry, in_force
from jitui.errors import NotConfigured
from jitui.policy import Policy

RE_READ_SECONDS = 2.0


class PolicyInForce:
    """What decides now. A schedule is kept to the second by the database's clock, whatever this machine's clock says.

    Pauses take effect at once, because the deciding transaction reads them.
    """

    def __init__(
        self,
        policies: Policies,
        *,
        seconds: Callable[[], float] = monotonic,
        re_read_seconds: float = RE_READ_SECONDS,
    ) -> None:
        self._policies = policies
        self._seconds = seconds
        self._re_read_seconds = re_read_seconds
        self._compiled: dict[str, Policy] = {}
        self._reading: LogReading | None = None
        self._read_seconds = float("-inf")
        self._in_force: InForce | None = None
        self._deciding: Deciding | None = None

    @property
    def single_person(self) -> bool:
        """Whether this was an installation for one person when the log was read last, for pages to say so."""
        return self._reading is not None and self._reading.single_person

    async def current(self) -> Policy:
        """The live policy. Raises NotConfigured when no policy was ever published."""
        return (await self.deciding()).live

    async def deciding(self) -> Deciding:
        """The live policy with its canary and shadow. Raises NotConfigured when no policy was ever published."""
        if self._reading is None or self._seconds() - self._read_seconds > self._re_read_seconds:
            await self._read_again()
        elif self._in_force is not None and self._in_force.until is not None and self._in_force.until <= self._now():
            self._choose()
        assert self._deciding is not None
        return self._deciding

    async def numbered(self) -> tuple[int, Policy]:
        """The live policy with the number of its publication."""
        deciding = await self.deciding()
        assert self._in_force is not None
        return self._in_force.live.publication, deciding.live

    async def _read_again(self) -> None:
        asked = self._seconds()
        reading = await self._policies.standing()
        if not reading.entries:
            raise NotConfigured(
                "No policy was ever published: run `jitui migrate`, which publishes the file in JITUI_POLICY_FILE, else"
                " the default one, or `jitui policy publish FILE`. The default one reads a buyer's history: for a shop"
                " on a platform take policies/shop-on-a-platform.yaml (docs/how-to/publish-a-policy.md)."
            )
        needed = {entry.sha256: entry for entry in reading.entries}
        compiled = {sha256: self._compiled.get(sha256) or await self._compile(row) for sha256, row in needed.items()}
        self._compiled = compiled
        if reading.entries != (self._reading.entries if self._reading is not None else None):
            self._deciding = None
        self._reading, self._read_seconds = reading, asked
        if self._deciding is None or (self._in_force is not None and self._in_force.until is not None):
            self._choose()

    async def _compile(self, row: LogEntry) -> Policy:
        """Also of what is scheduled: at its moment it decides without a delay."""
        text = await self._policies.text(row.sha256)
        assert text is not None, "the log refers to texts that are kept"
        return Policy.from_text(text.document, f"{row.policy_id}.yaml")

    def _now(self) -> datetime:
        """The database's time. The answer was on its way since, so it is ahead by less than the round trip."""
        assert self._reading is not None
        return self._reading.read_at + timedelta(seconds=self._seconds() - self._read_seconds)

    def _choose(self) -> None:
        assert self._reading is not None
        found = in_force(self._reading.entries, self._now())
        assert found is not None, "the reading begins with a live row that counts"
        canary = found.canary
        self._in_force = found
        self._deciding = Deciding(
            self._compiled[found.live.sha256],
            Canary(self._compiled[canary.sha256], canary.canary_percent or 0, canary.canary_seed or "")
            if canary is not None
            else None,
            self._compiled[found.shadow.sha256] if found.shadow is not None else None,
        )
