"""The readable description of the API: the page by Redoc, and the list of problems, which needs no script."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from html import escape
from pathlib import Path

from jitui.entrypoints.http.problems import KINDS, OF_THE_EDGE
from jitui.errors import NotConfigured

REDOC = Path(__file__).parent / "static" / "vendor" / "redoc.standalone.js"

_STYLE = """
:root{color-scheme:light dark;--line:#8884}
body{font:16px/1.55 system-ui,"Noto Sans CJK SC",sans-serif;max-width:58rem;margin:2rem auto;padding:0 1rem}
code{font-family:ui-monospace,monospace;font-size:.9em}
table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid var(--line);padding:.3rem .5rem;
text-align:left;vertical-align:top}
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_CLOSED = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
PROBLEMS_POLICY = f"{_CLOSED}; style-src 'sha256-{_HASH}'"
DOCS_POLICY = "; ".join(
    (
        _CLOSED,
        "script-src 'self'",
        "style-src 'unsafe-inline'",  # Redoc writes its styles into the page
        "img-src 'self' data:",
        "connect-src 'self'",
        "worker-src blob:",  # its search runs in a worker
    )
)
"""The page loads nothing from other hosts and sends nothing to them."""

_DOCS = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Jitui: HTTP API</title>
<link rel="icon" href="data:,">
<style>body{margin:0}</style>
</head>
<body>
<noscript>
<p>This page is drawn by a script. For programs: <a href="/openapi.json">OpenAPI 3.1</a>.
All errors: <a href="/problems">problems</a>.</p>
</noscript>
<redoc spec-url="/openapi.json" native-scrollbars required-props-first></redoc>
<script src="/docs/redoc.standalone.js"></script>
</body>
</html>
"""


def docs_page() -> str:
    """The page with every operation; the browser draws it from `/openapi.json`."""
    return _DOCS


@cache
def redoc() -> bytes:
    """Redoc's script. Raises NotConfigured, with what to do, when `make setup` has not brought it."""
    try:
        return REDOC.read_bytes()
    except FileNotFoundError:
        raise NotConfigured(f"The file {REDOC.name} is missing; run `make setup`, which brings it.") from None


def problems_page() -> str:
    """The page with every kind of problem and its status."""
    of_the_edge = {kind.slug for kind in OF_THE_EDGE}
    rows = "".join(
        f'<tr id="{escape(kind.slug)}"><td><code>{escape(kind.type)}</code></td><td>{kind.status}</td>'
        f"<td>{escape(kind.title)}</td><td>{'the request' if kind.slug in of_the_edge else 'the outcome'}</td></tr>"
        for kind in sorted(KINDS.values(), key=lambda kind: (kind.status, kind.slug))
    )
    table = f"<table><tr><th>type</th><th>status</th><th>title</th><th>about</th></tr>{rows}</table>"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Jitui: problems</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body><h1>Problems</h1>'
        "<p>Every error is <code>application/problem+json</code> (RFC 9457). The type is stable; "
        f"detail says what is wrong with the request, path names the field.</p>{table}"
        '<p><a href="/docs">API</a></p></body></html>'
    )
