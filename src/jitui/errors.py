"""The exceptions that Jitui raises on purpose.

JituiError
├── BadInput            the caller's input cannot be read or does not fit (exit code 2, HTTP 400)
├── NotConfigured       a setting is missing or wrong (exit code 2)
├── Unavailable         a database, a provider or a browser is not there (exit code 3, HTTP 503)
├── InvariantBroken     a check that can never fail did fail: nothing was written, somebody must look
└── Overtaken           another transaction took a unique value first: nothing was written, read again
    └── WaybillTaken    the tracking number is another buyer's: nothing was written

Outcomes that a caller expects (an order that has shipped, a ticket that is stale) are values, not exceptions: see
`jitui.aftersales.outcomes`.
"""

from __future__ import annotations


class JituiError(Exception):
    """The root of the exceptions; the message is one sentence for a person and says what to do."""


class BadInput(JituiError):
    """Input that cannot be read or does not fit; `path` names the field, the row or the file.

    `said`: the message as it was given: a text, or a `jitui.text.Sentence`, which a page can say in its language.
    """

    def __init__(self, message: object, *, path: str = "") -> None:
        super().__init__(str(message))
        self.said = message
        self.path = path


class NotConfigured(JituiError):
    """A setting is missing or has a value that cannot be used."""


class Unavailable(JituiError):
    """Something that Jitui needs does not answer or is not installed."""


class InvariantBroken(JituiError):
    """The database refused a write that the application's own checks had allowed; nothing was written."""


class Overtaken(JituiError):
    """Between our read and our write another transaction took a value that is unique across all buyers."""


class WaybillTaken(Overtaken):
    """A merchant's tracking number is on another buyer's order; a command answers it with a refusal."""
