"""The API's description as it is served: for programs at `/openapi.json`, for people at `/docs` and `/problems`."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
from litestar import HttpMethod, Request
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse

from jitui.entrypoints.http.docs_page import CONTENT_SECURITY_POLICY, docs_page, problems_page
from jitui.entrypoints.http.openapi import document
from jitui.entrypoints.http.problems import KINDS


def pages() -> list[HTTPRouteHandler]:
    """`/openapi.json` for programs; `/docs` and `/problems` for people, without a script or anything from elsewhere."""
    return [
        _page("/openapi.json", _openapi, "application/json"),
        _page("/docs", _docs, "text/html"),
        _page("/problems", _problem_list, "text/html"),
        _problem_page(),
    ]


@cache
def _openapi() -> bytes:
    return msgspec.json.format(msgspec.json.encode(document()), indent=1)


@cache
def _docs() -> bytes:
    return docs_page().encode()


@cache
def _problem_list() -> bytes:
    return problems_page().encode()


def _page(path: str, content: Any, media_type: str) -> HTTPRouteHandler:
    async def page(request: Request[Any, Any, Any]) -> ASGIResponse:
        return _served(content(), media_type)

    return HTTPRouteHandler(path, http_method=HttpMethod.GET, status_code=200)(page)


def _problem_page() -> HTTPRouteHandler:
    async def page(request: Request[Any, Any, Any]) -> ASGIResponse:
        slug = str(request.scope["path_params"]["slug"])
        status = 200 if slug in KINDS else 404
        return _served(_problem_list(), "text/html", status=status)

    return HTTPRouteHandler("/problems/{slug:str}", http_method=HttpMethod.GET, status_code=200)(page)


def _served(body: bytes, media_type: str, *, status: int = 200) -> ASGIResponse:
    headers = {"content-security-policy": CONTENT_SECURITY_POLICY, "x-content-type-options": "nosniff"}
    return ASGIResponse(status_code=status, body=body, media_type=media_type, headers=headers)
