"""Requests between a process and the provider, and what happens to them by their fates."""

from __future__ import annotations

import asyncio

from jitui.demo.simulation.marketplace_model import MarketplaceModel
from jitui.demo.simulation.network import Answered, Fate, Flight

LONGEST_FLIGHT_SECONDS = 600.0
"""How late a request may still arrive after its caller has given up."""


def take_off(model: MarketplaceModel, flight: Flight) -> None:
    """Take over a request that has left a process, with the fate that was drawn for its task."""
    process = model.process_of(flight)
    task = process.caller_of(flight) if process is not None else None
    if task is None:
        flight.caller.set_result(Answered(hung_up=True))
        return
    if task.flight is not None:  # the HTTP client has repeated the request by itself
        task.fate = Fate.SMOOTH
    flight.fate, flight.left_at, task.flight = task.fate, model.now, flight
    model.flights.append(flight)
    if flight.fate is not Fate.SMOOTH:
        model.counts[f"network:{flight.fate}"] += 1
    if flight.fate is Fate.TIMED_OUT_AFTER:
        model.listeners.append(asyncio.create_task(fly(model, flight)))
    model.stirred.set()


async def fly(model: MarketplaceModel, flight: Flight) -> None:
    """Move a request one step: to the provider, or back to its caller."""
    if flight.answered is None and flight.arrives:
        if flight.fate is Fate.TWICE:
            await model.network.deliver(flight)
        flight.answered = await model.network.deliver(flight)
        return
    if flight.caller.done():
        return
    process = model.process_of(flight)
    for task in process.tasks.values() if process is not None else ():
        if task.flight is flight:
            task.flight = None
    flight.caller.set_result(_answer(flight))


def is_over(model: MarketplaceModel, flight: Flight) -> bool:
    """Whether no step is left; a request that was given up long ago counts as lost."""
    if flight.answered is None and flight.arrives and model.now - flight.left_at > LONGEST_FLIGHT_SECONDS:
        flight.fate = Fate.LOST_BEFORE
    return flight.caller.done() and (flight.answered is not None or not flight.arrives)


def _answer(flight: Flight) -> Answered:
    match flight.fate:
        case Fate.LOST_BEFORE | Fate.LOST_AFTER:
            return Answered(hung_up=True)
        case Fate.GATEWAY_BEFORE | Fate.GATEWAY_AFTER:
            return Answered(502, (("content-type", "text/html"),), b"<html>Bad gateway</html>")
        case Fate.RATE_LIMITED:
            body = b'{"error": {"code": "rate_limited", "message": "slowly"}}'
            return Answered(429, (("content-type", "application/json"), ("retry-after", "3")), body)
        case Fate.STRANGE_404:
            return Answered(404, (("content-type", "text/html"),), b"<html>Not found</html>")
    assert flight.answered is not None
    return flight.answered
