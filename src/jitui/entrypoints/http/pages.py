"""Serves the API's description: for programs at `/openapi.json`, for people at `/docs` and `/problems`."""

from __future__ import annotations

from functools import cache

import msgspec
from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response.base import ASGIResponse

from jitui.entrypoints.http.docs_page import DOCS_POLICY, PROBLEMS_POLICY, docs_page, problems_page, redoc
from jitui.entrypoints.http.openapi import document
from jitui.entrypoints.http.problems import KINDS

_A_DAY = "public, max-age=86400"


def pages() -> list[HTTPRouteHandler]:
    """The handlers of these pages, which load nothing from other hosts."""
    return [openapi, docs, redoc_script, problem_list, problem_page]


@cache
def _openapi() -> bytes:
    return msgspec.json.format(msgspec.json.encode(document()), indent=1)


@get("/openapi.json")
async def openapi() -> ASGIResponse:
    """The document for programs."""
    return ASGIResponse(body=_openapi(), media_type="application/json", headers={})


@get("/docs")
async def docs() -> ASGIResponse:
    """The page for people."""
    return _page(docs_page(), DOCS_POLICY)


@get("/docs/redoc.standalone.js")
async def redoc_script() -> ASGIResponse:
    """Redoc's script for the page."""
    return ASGIResponse(body=redoc(), media_type="text/javascript", headers={"cache-control": _A_DAY})


@get("/problems")
async def problem_list() -> ASGIResponse:
    """Every kind of problem."""
    return _page(problems_page(), PROBLEMS_POLICY)


@get("/problems/{slug:str}")
async def problem_page(slug: FromPath[str]) -> ASGIResponse:
    """The page for one kind of problem: the list, at that kind."""
    return _page(problems_page(), PROBLEMS_POLICY, status=200 if slug in KINDS else 404)


def _page(body: str, policy: str, *, status: int = 200) -> ASGIResponse:
    headers = {"content-security-policy": policy}
    return ASGIResponse(status_code=status, body=body.encode(), media_type="text/html", headers=headers)
