"""English texts for what keeps a commerce platform from being read; the catalogues translate them.

The sentences of the adapters name what to do in English; a headline stands before them.
"""

from __future__ import annotations


def _(message: str) -> str:
    return message


UNREAD = _("It cannot be read")
_HEADLINES = (
    ("does not answer", _("It does not answer")),
    ("does not take the ", _("It does not take our key")),
    ("does not let us in", _("It does not take our key")),
    ("What answers", _("What answers there is not this platform")),
    ("The file with the key", _("Its connection cannot be opened: the key cannot be read")),
)


def headline_of(problem: str) -> str:
    """What keeps it from being read, in a few words; the words of the platform itself come after ours."""
    found = [(problem.index(words), headline) for words, headline in _HEADLINES if words in problem]
    return min(found)[1] if found else UNREAD
