"""`Policy`: a policy by its text or its file, as users load it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jitui.policy.loading.loader import load, load_bytes
from jitui.policy.model import LoadedPolicy


@dataclass(frozen=True, eq=False, repr=False)
class Policy(LoadedPolicy):
    """One version of a policy, checked and compiled; pickled and copied by its text."""

    @classmethod
    def from_file(cls, path: str | Path) -> Policy:
        """The policy in a UTF-8 file; raises PolicyRefused with every problem, OSError when unreadable."""
        return load_bytes(cls, Path(path).read_bytes(), str(path))

    @classmethod
    def from_text(cls, text: str, name: str = "policy.yaml") -> Policy:
        """The policy in a text, `name` standing for the file; raises PolicyRefused with every problem."""
        return load(cls, text, name)

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return Policy.from_text, (self.text, self.name)
