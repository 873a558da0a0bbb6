"""What comes instead of an answer: a problem that the service names, or no answer that could be read.

JituiError
├── Refused        the service answered with a problem (`problem`)
├── WrongAnswer    what came is not what this release of the client expects
└── Unavailable
    └── NoAnswer   nothing came, after every try
"""

from __future__ import annotations

import msgspec

from jitui.errors import JituiError, Unavailable


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong with what was sent: `path` names the field, `detail` says what is expected."""

    path: str
    detail: str


class Problem(msgspec.Struct, frozen=True):
    """Problem details (RFC 9457). `type` is stable: docs/reference/problems.md lists them.

    `retry_after_seconds` is the service's word on when to ask again. A status whose body names no problem, as a proxy
    answers it, has the type `about:blank`.
    """

    title: str
    status: int
    type: str = "about:blank"
    detail: str = ""
    path: str = ""
    errors: tuple[Fault, ...] = ()
    request_id: str = ""
    retry_after_seconds: float | None = None

    @property
    def kind(self) -> str:
        """The end of the type, such as `refund-in-progress`; empty for `about:blank`."""
        return self.type.rpartition("/")[2] if "/" in self.type else ""

    def __str__(self) -> str:
        about = f"{self.path}: " if self.path else ""
        said = f"{about}{self.detail or self.title}"
        if len(self.errors) > 1:
            said = f"{said.rstrip('.')}, and {len(self.errors) - 1} more"
        return f"{said.rstrip('.')} ({self.status}, request {self.request_id or 'without an id'})."


class Refused(JituiError):
    """The service answered with a problem, and trying again would not help or did not."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class WrongAnswer(JituiError):
    """An answer that this client cannot read: no JSON, another shape, or a redirect."""

    def __init__(self, message: str, *, request_id: str) -> None:
        super().__init__(message)
        self.request_id = request_id


class NoAnswer(Unavailable):
    """No answer came. `may_be_done`: the service may have carried the call out; the same call says so when sent again.

    A call without an Idempotency-Key that may not be repeated must be looked up first.
    """

    def __init__(self, message: str, *, request_id: str, may_be_done: bool) -> None:
        super().__init__(message)
        self.request_id = request_id
        self.may_be_done = may_be_done
