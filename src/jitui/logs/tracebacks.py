"""Where an error came from, as text without the values of variables or of database rows."""

from __future__ import annotations

import traceback
from collections.abc import Iterable


def trace_of(error: BaseException) -> str:
    """Files, lines and sentences."""
    written = traceback.TracebackException.from_exception(error, capture_locals=False)
    for part in _chain(written, error):
        _leave_out_rows(*part)
    return "".join(written.format())


def _chain(
    written: traceback.TracebackException | None, error: BaseException | None
) -> Iterable[tuple[traceback.TracebackException, BaseException]]:
    if written is None or error is None:
        return
    yield written, error
    yield from _chain(written.__cause__, error.__cause__)
    yield from _chain(written.__context__, error.__context__)
    if isinstance(error, BaseExceptionGroup):
        for inner, one in zip(written.exceptions or (), error.exceptions, strict=False):
            yield from _chain(inner, one)


def _leave_out_rows(written: traceback.TracebackException, error: BaseException) -> None:
    """PostgreSQL's details and notes quote what was sent: its code, its first line and its constraint say enough."""
    state, diag = getattr(error, "sqlstate", None), getattr(error, "diag", None)
    if isinstance(state, str) and diag is not None:  # psycopg's, which need not be imported for that
        said = "" if state.startswith("22") else diag.message_primary  # data exceptions name the value itself
        parts = (state, said, diag.table_name, diag.constraint_name)
        written._str = ", ".join(part for part in parts if part)  # type: ignore[attr-defined]  # no public way
