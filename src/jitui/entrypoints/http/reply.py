"""The results of handlers: an answer, a problem or a refusal of the core. They are rendered once, and may be stored."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from litestar.response import Response
from litestar.response.base import ASGIResponse
from litestar.types import HTTPResponseBodyEvent, HTTPResponseStartEvent, Receive, Scope, Send

from jitui.aftersales.commands.execute import Executed, IdempotentReply
from jitui.aftersales.outcomes import Refusal, StoredResponse
from jitui.entrypoints.http.exchange import Headers
from jitui.entrypoints.http.problems import MEDIA_TYPE, Problem, body_of, of_refusal
from jitui.entrypoints.http.request import RequestContext


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful result."""

    status: int
    body: bytes
    headers: Headers = ()
    media_type: str = "application/json"


Reply = Answer | Problem | Refusal
"""The result of a handler; `ApiResponse` renders it."""

NO_CONTENT = Answer(204, b"")

encode = msgspec.json.Encoder().encode


def answer(body: object, status: int = 200, headers: Headers = ()) -> Answer:
    """An answer with a value as JSON."""
    return Answer(status, encode(body), headers)


# Idempotent replies ------------------------------------------------------------------------------------------------


async def respond(
    request: RequestContext,
    sent: object,
    command: Callable[[IdempotentReply | None], Awaitable[Executed | Refusal | StoredResponse]],
    render: Callable[[Executed], Answer],
    headers: Callable[[bytes], Headers] = lambda _: (),
    shaping: tuple[str, ...] = (),
) -> Reply:
    """Run a command; with an Idempotency-Key its response is rendered and stored inside the transaction.

    `sent` and `shaping` determine the effect: the same key with other values is refused. `headers` computes the headers
    of the first response from a stored body.
    """
    made: list[Answer] = []

    def keep(done: Executed) -> StoredResponse:
        made.append(render(done))
        return StoredResponse(made[0].status, made[0].body, request.service.clock())

    key = request.idempotency_key_for(sent, *shaping)
    done = await command(IdempotentReply(key, keep) if key is not None else None)
    if isinstance(done, Refusal):
        return done
    if isinstance(done, StoredResponse):
        return Answer(done.status, done.body, (*headers(done.body), ("idempotency-replayed", "true")))
    return made[0] if made else render(done)


# Rendering ---------------------------------------------------------------------------------------------------------


class ApiResponse(Response[Reply]):
    """Litestar's response for the result of a handler."""

    def __init__(self, content: Reply, **_: object) -> None:
        self.content = content

    def to_asgi_response(self, *_: object, **__: object) -> ASGIResponse:
        """The rendered response; a result has all that Litestar would add."""
        return rendered(self.content)


class Rendered(ASGIResponse):
    """A rendered response, sent as it is, without Litestar's header dictionaries and cookies."""

    __slots__ = ("_messages",)

    def __init__(self, status: int, body: bytes, media_type: str, headers: Headers) -> None:
        self.status_code = status
        encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers]
        if status != 204:
            encoded += ((b"content-type", media_type.encode()), (b"content-length", str(len(body)).encode()))
        start: HTTPResponseStartEvent = {"type": "http.response.start", "status": status, "headers": encoded}
        end: HTTPResponseBodyEvent = {"type": "http.response.body", "body": body, "more_body": False}
        self._messages = (start, end)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        for message in self._messages:
            await send(message)


def rendered(reply: Reply) -> Rendered:
    """The result of a handler as bytes."""
    if isinstance(reply, Answer):
        return Rendered(reply.status, reply.body, reply.media_type, reply.headers)
    problem = of_refusal(reply) if isinstance(reply, Refusal) else reply
    headers = problem.headers
    if problem.retry_after_seconds is not None:
        headers = (*headers, ("retry-after", str(problem.retry_after_seconds)))
    return Rendered(problem.kind.status, body_of(problem), MEDIA_TYPE, headers)


def response_of(problem: Problem) -> Response[Any]:
    """A problem as a response, for exception handlers."""
    return ApiResponse(problem)
