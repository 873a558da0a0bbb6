"""Everything Jitui raises on purpose.

JituiError
├── BadInput            what the caller handed over cannot be read or does not fit (exit code 2, HTTP 400)
├── NotConfigured       a setting is missing or wrong (exit code 2)
├── Unavailable         something we need is not there: database, provider, browser (exit code 3, HTTP 503)
├── InvariantBroken     a check that can never fail did fail: nothing was written, somebody must look
└── Overtaken           another transaction took a name that all lanes share: nothing was written, read again

Outcomes that a caller expects (an order that has shipped, a ticket that is stale) are values, not exceptions:
see `jitui.aftersales.outcomes`.
"""

from __future__ import annotations


class JituiError(Exception):
    """Root of the tree; the message is one sentence for a person, with what to do."""


class BadInput(JituiError):
    """Input that cannot be read or does not fit; `path` names the field, the row or the file."""

    def __init__(self, message: str, *, path: str = "") -> None:
        super().__init__(message)
        self.path = path


class NotConfigured(JituiError):
    """A setting is missing or has a value that cannot be used."""


class Unavailable(JituiError):
    """A part we depend on does not answer or is not installed."""


class InvariantBroken(JituiError):
    """The database refused what the application believed to be allowed; nothing was written."""


class Overtaken(JituiError):
    """Another transaction took a name that all lanes share between our read and our write; reading again shows it."""
