"""The readable description: static pages, no script, nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from html import escape
from typing import Any

from jitui.entrypoints.http.openapi import TAGS, document
from jitui.entrypoints.http.problems import KINDS, OF_THE_EDGE

_STYLE = """
:root{color-scheme:light dark;--line:#8884;--soft:#8881;--mark:#0a7a5a}
body{font:16px/1.55 system-ui,"Noto Sans CJK SC",sans-serif;max-width:58rem;margin:2rem auto;padding:0 1rem}
code,pre{font-family:ui-monospace,monospace;font-size:.9em}
pre{background:var(--soft);padding:.7rem 1rem;border-radius:.4rem;overflow-x:auto}
h2{margin-top:2.5rem;border-bottom:1px solid var(--line)}
details{border:1px solid var(--line);border-radius:.4rem;margin:.5rem 0;padding:.4rem .8rem}
summary{cursor:pointer}summary b{display:inline-block;min-width:4.2rem;color:var(--mark)}
table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid var(--line);padding:.3rem .5rem;
text-align:left;vertical-align:top}nav a{margin-right:.8rem}
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


def docs_page() -> str:
    """Every operation: who may call it, what it takes, what it answers."""
    described = document()
    operations: dict[str, list[str]] = {tag: [] for tag in TAGS}
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            operations[operation["tags"][0]].append(_operation(method, path, operation))
    links = "".join(f'<a href="#{_anchor(tag)}">{escape(tag)}</a>' for tag in TAGS)
    sections = "".join(
        f'<h2 id="{_anchor(tag)}">{escape(tag)}</h2><p>{escape(text)}</p>{"".join(operations[tag])}'
        for tag, text in TAGS.items()
    )
    intro = (
        f"<p>{_prose(described['info']['description'])}</p><p>Send the API key as "
        '<code>Authorization: Bearer jt_…</code>. For programs: <a href="/openapi.json">OpenAPI 3.1</a>. '
        'All errors: <a href="/problems">problems</a>.</p>'
    )
    return _page("Jitui: HTTP API", f"<h1>Jitui: HTTP API</h1>{intro}<nav>{links}</nav>{sections}")


def problems_page() -> str:
    """Every kind of problem with its status."""
    of_the_edge = {kind.slug for kind in OF_THE_EDGE}
    rows = "".join(
        f'<tr id="{escape(kind.slug)}"><td><code>{escape(kind.type)}</code></td><td>{kind.status}</td>'
        f"<td>{escape(kind.title)}</td><td>{'the request' if kind.slug in of_the_edge else 'the outcome'}</td></tr>"
        for kind in sorted(KINDS.values(), key=lambda kind: (kind.status, kind.slug))
    )
    table = f"<table><tr><th>type</th><th>status</th><th>title</th><th>about</th></tr>{rows}</table>"
    return _page(
        "Jitui: problems",
        "<h1>Problems</h1><p>Every error is <code>application/problem+json</code> (RFC 9457). The type is stable; "
        f"detail says what is wrong in the case at hand, path names the field.</p>{table}"
        '<p><a href="/docs">API</a></p>',
    )


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    return (
        f'<details id="{escape(operation["operationId"])}"><summary><b>{method.upper()}</b> '
        f"<code>{escape(path)}</code> — {escape(operation['summary'])}</summary>"
        f"<p>{_prose(operation['description'])}</p>{''.join(_parts(operation))}</details>"
    )


def _parts(operation: dict[str, Any]) -> Iterator[str]:
    if operation["parameters"]:
        rows = "".join(
            f"<tr><td><code>{escape(parameter['name'])}</code></td><td>{parameter['in']}"
            f"{', required' if parameter['required'] else ''}</td>"
            f"<td>{_prose(parameter.get('description', parameter['schema'].get('description', '')))}</td></tr>"
            for parameter in operation["parameters"]
        )
        yield f"<table>{rows}</table>"
    if "requestBody" in operation:
        (content,) = operation["requestBody"]["content"].values()
        yield f"<p>Body</p>{_json(content['example'])}"
    for status, response in operation["responses"].items():
        for content in response.get("content", {}).values():
            if "example" in content:
                yield f"<p>{status}</p>{_json(content['example'])}"
    problems = [
        f'<a href="/problems#{slug}">{slug}</a> {status}'
        for status, response in operation["responses"].items()
        for content in response.get("content", {}).values()
        for slug in content.get("examples", {})
    ]
    yield f"<p>Problems: {', '.join(problems)}</p>"


def _json(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
    return f"<pre>{escape(text)}</pre>"


def _prose(text: str) -> str:
    """Text with its `code` marked."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))


def _anchor(tag: str) -> str:
    return tag.lower().replace(" ", "-")


def _page(title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>{body}</body></html>'
    )
