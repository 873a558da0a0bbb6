"""A client of the HTTP API: `Client` and `AsyncClient` send the calls of `jitui.client.api`.

    from jitui.client import Client, api

    with Client("https://refunds.example.com", key) as jitui:
        decided = jitui.send(api.ask_for_a_refund(api.RefundRequestSent(order_id="o-1", buyer_id="b-1")))

It imports nothing of the server.
"""

from __future__ import annotations

from jitui.client import api
from jitui.client.call import Call, ListCall
from jitui.client.clients import AsyncClient, Client
from jitui.client.exchange import Answered, Limits
from jitui.client.problem import Fault, NoAnswer, Problem, Refused, WrongAnswer

__all__ = [
    "Answered",
    "AsyncClient",
    "Call",
    "Client",
    "Fault",
    "Limits",
    "ListCall",
    "NoAnswer",
    "Problem",
    "Refused",
    "WrongAnswer",
    "api",
]
