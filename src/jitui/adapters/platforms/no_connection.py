"""Why no connection to a shop came about, in words that say what to look at."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator


def why_no_connection(error: BaseException) -> str:
    """By the errors that it came from; libraries put their own around them."""
    causes = tuple(_causes(error))
    if refused := [one for one in causes if isinstance(one, ssl.SSLCertVerificationError)]:
        said = {getattr(one, "verify_message", "") for one in refused} - {""}  # aiohttp's own error has none
        return f"the certificate is not accepted ({' '.join(said) or 'it does not say why'})"
    if any(isinstance(one, ssl.SSLError) for one in causes):
        return "what answers there speaks no TLS, or another than ours; is it http:// ?"
    if any(isinstance(one, socket.gaierror) for one in causes):
        return "no such host is known here"
    if any(isinstance(one, ConnectionRefusedError) for one in causes):
        return "nothing listens at this port"
    if any(isinstance(one, OSError) for one in causes):
        return "the host cannot be reached"
    return f"this is no address to call ({type(error).__name__})"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and all that it came from."""
    waiting, seen = [error], set[int]()
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [one.__cause__, one.__context__, *(one.exceptions if isinstance(one, BaseExceptionGroup) else ())]
