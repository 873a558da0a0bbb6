"""`jitui mcp`."""

from __future__ import annotations

TRIES, SECONDS = 3, 20.0
"""An agent waits for the answer; what takes longer it is told to ask again."""


def mcp() -> None:
    """Tools for a software agent, over standard input and output: check a refund, ask for it, see how it stands.

    The agent's program starts it. It speaks to the service of --remote (or JITUI_REMOTE_URL) with the key of
    --api-key-file (or JITUI_API_KEY_FILE); nothing listens. It needs jitui[mcp].
    """
    import asyncio

    from jitui.client import AsyncClient, Limits
    from jitui.entrypoints.cli.remote import allows_http, by_option, given_key, remote_url
    from jitui.errors import BadInput, NotConfigured

    try:
        from jitui.entrypoints.agents.server import serve
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("mcp", "mcp_types"):
            raise
        raise NotConfigured("The tools for agents need the extra: pip install 'jitui[mcp]'.") from None
    url = remote_url()
    if url is None:
        raise BadInput(
            "Name the service that it speaks to: jitui --remote URL mcp, or JITUI_REMOTE_URL.", path="--remote"
        )
    limits = Limits(tries=TRIES, give_up_after_seconds=SECONDS)
    try:
        client = AsyncClient(url, given_key(), limits=limits, allow_http=allows_http())
    except BadInput as error:
        raise by_option(error, url) from None
    asyncio.run(serve(client))
