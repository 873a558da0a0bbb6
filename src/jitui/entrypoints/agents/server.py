"""Serves the tools by the Model Context Protocol, over standard input and output; nothing listens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import version
from typing import Any, get_type_hints

import mcp.types as wire
import msgspec
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

from jitui.client import AsyncClient
from jitui.entrypoints.agents.tools import (
    CheckRefund,
    RefundStatus,
    RequestRefund,
    Told,
    check_refund,
    refund_status,
    request_refund,
)

INSTRUCTIONS = (
    "Refunds of orders before they are shipped. First check_refund, which changes nothing. Ask the buyer before "
    "request_refund: it opens a request that may pay at once. Then refund_status until the money is back. Amounts "
    "follow from the order; nobody names one."
)


@dataclass(frozen=True, slots=True)
class _Tool:
    name: str
    title: str
    description: str
    sent: type[msgspec.Struct]
    run: Callable[[AsyncClient, Any], Awaitable[Told]]
    hints: wire.ToolAnnotations


TOOLS = (
    _Tool(
        "check_refund",
        "Check a refund",
        "Whether a refund of everything on an order would be given at once, and for how much. Nothing is asked for.",
        CheckRefund,
        check_refund,
        wire.ToolAnnotations(read_only_hint=True, open_world_hint=False),
    ),
    _Tool(
        "request_refund",
        "Ask for a refund",
        "Asks for a refund of everything on an order that can be refunded: paid back at once, or decided by the shop. "
        "Called again with the same words it is the same request.",
        RequestRefund,
        request_refund,
        wire.ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False),
    ),
    _Tool(
        "refund_status",
        "See a refund",
        "How a refund stands, by its ticket or by the order.",
        RefundStatus,
        refund_status,
        wire.ToolAnnotations(read_only_hint=True, open_world_hint=False),
    ),
)
_BY_NAME = {tool.name: tool for tool in TOOLS}


def input_schema(sent: type[msgspec.Struct]) -> dict[str, Any]:
    """The JSON Schema of a tool's arguments; fields that are not in it are refused."""
    _, definitions = msgspec.json.schema_components([sent], ref_template="#/$defs/{name}")
    own = dict(definitions.pop(sent.__name__))
    return {**own, "$defs": definitions} if definitions else own


async def call(client: AsyncClient, name: str, arguments: dict[str, Any] | None) -> wire.CallToolResult:
    """The answer of a tool, as a sentence and in fields."""
    tool = _BY_NAME.get(name)
    if tool is None:
        return _result(Told(f"There is no tool {name}; there are {', '.join(_BY_NAME)}.", is_error=True))
    try:
        sent = msgspec.convert(arguments or {}, tool.sent)
    except msgspec.ValidationError as error:
        said = _said(error, tool.sent)
        return _result(Told(f"The arguments do not fit: {said}.", {"problem": "invalid-request"}, is_error=True))
    return _result(await tool.run(client, sent))


def _said(error: msgspec.ValidationError, sent: type[msgspec.Struct]) -> str:
    """What does not fit; of a word that has to be one of some, which they are."""
    said = str(error).rstrip(".")
    field = said.rpartition("`$.")[2].rstrip("`")
    kind = get_type_hints(sent).get(field)
    if not (isinstance(kind, type) and issubclass(kind, StrEnum)):
        return said
    return f"{said}; {field} is one of {', '.join(kind)}"


def _result(told: Told) -> wire.CallToolResult:
    return wire.CallToolResult(
        content=[wire.TextContent(type="text", text=told.sentence)],
        structured_content=dict(told.values),
        is_error=told.is_error,
    )


async def serve(client: AsyncClient) -> None:
    """Answer until the agent's program closes its end."""

    async def list_tools(_: ServerRequestContext[Any], __: wire.PaginatedRequestParams | None) -> wire.ListToolsResult:
        return wire.ListToolsResult(
            tools=[
                wire.Tool(
                    name=tool.name,
                    title=tool.title,
                    description=tool.description,
                    input_schema=input_schema(tool.sent),
                    annotations=tool.hints,
                )
                for tool in TOOLS
            ]
        )

    async def call_tool(_: ServerRequestContext[Any], params: wire.CallToolRequestParams) -> wire.CallToolResult:
        return await call(client, params.name, params.arguments)

    server: Server[Any] = Server(
        "jitui",
        version=version("jitui"),
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )
    async with client, stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())
