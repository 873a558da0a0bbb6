"""A simulated process: the service with checkpoints, running the commands that the driver starts.

An API process takes the commands of buyers, merchants, carriers and operators and the provider's webhooks; a worker
runs the steps of `jitui.worker`. Both run this code.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import replace
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import TypeAlias
from uuid import UUID

import aiohttp
import msgspec
import structlog

from jitui.adapters.payments.simulator import SimulatorProvider
from jitui.aftersales.commands.execute import Executed, IdempotentReply
from jitui.aftersales.commands.on_ticket import Acting
from jitui.aftersales.commands.refund_updates import RefundUpdate, confirm
from jitui.aftersales.commands.request_refund import RefundRequest, request_refund
from jitui.aftersales.commands.review import Rejection, approve, reject, withdraw
from jitui.aftersales.commands.settle_refund import retry
from jitui.aftersales.commands.ship import ShipmentUpdate, record_shipment
from jitui.aftersales.model.order import LineUnits, ShipmentSource, ShipmentStatus
from jitui.aftersales.model.review import EvidenceItem, RejectionCode
from jitui.aftersales.model.ticket import Actor, ActorKind
from jitui.aftersales.outcomes import IdempotencyKey, Refusal, StoredResponse
from jitui.aftersales.ports import AttemptRef, OrderRef, RefundRef, TicketRef
from jitui.aftersales.provider import DisputeNotification, NotificationIgnored, NotificationRefused
from jitui.bootstrap import Service, open_service
from jitui.deadlines import expire_due, remind_due
from jitui.demo.simulation.checkpoints import (
    CheckpointedFeed,
    CheckpointedProvider,
    CheckpointedStore,
    Checkpoints,
    MortalLoop,
)
from jitui.demo.simulation.messages import Begin, Go, Hello, ProcessSpec, Result, read_order
from jitui.errors import JituiError, Unavailable
from jitui.ids import lane_of, lane_of_id
from jitui.settings import Settings
from jitui.worker import KEEP_RESPONSES, pay_due

PROCESS_HEADER = "x-simulated-process"
PATIENT_SECONDS = 120.0
IMPATIENT_SECONDS = 0.1
KEY_LIFE = timedelta(days=1)
"""How long the simulated provider remembers a key."""

Words: TypeAlias = dict[str, str | int | None]
Done: TypeAlias = Executed | Refusal | StoredResponse


def live(spec: ProcessSpec, line: socket.socket) -> None:
    """Run until the driver closes the socket or kills the process."""
    structlog.configure(processors=[_overhear])
    logging.disable(logging.CRITICAL)
    random.seed(f"{spec.seed}/{spec.number}")
    loop = MortalLoop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(_live(spec, line, loop))


_SURVIVED = ("step_failed", "refund_not_confirmed", "ticket_not_expired")
_overheard: list[str] = []
"""Faults that the service logged and survived; the driver counts them as findings."""


def _overhear(_: object, method: str, event: MutableMapping[str, object]) -> str:
    if method in ("exception", "error") or event.get("event") in _SURVIVED:
        error = sys.exc_info()[1]
        _overheard.append(f"{event.get('event')}: {type(error).__name__} {error}")
    raise structlog.DropEvent


async def _live(spec: ProcessSpec, line: socket.socket, loop: MortalLoop) -> None:
    reader, writer = await asyncio.open_unix_connection(sock=line)
    checkpoints = Checkpoints(loop, writer)
    settings = Settings(
        home=Path(spec.home),
        database_url=spec.database_url,
        simulator_url=spec.provider_url,
        simulator_key=spec.api_key,
        simulator_webhook_secret=spec.webhook_secret,
        pool_size=12,
        # a simulated worker rolls up at random times, mostly less than once a simulated second
        usage_max_age_seconds=60,
        worker_batch=spec.batch,
        worker_lease_seconds=spec.lease_seconds,
    )
    headers = {PROCESS_HEADER: str(spec.number)}
    async with (
        open_service(settings, spec.database_url, clock=checkpoints.clock) as service,
        aiohttp.ClientSession(headers=headers) as client,
    ):
        service = _with_checkpoints(spec, service, checkpoints, client)
        checkpoints.report(Hello())
        tasks: set[asyncio.Task[object]] = set()
        while (order := await read_order(reader)) is not None:
            if isinstance(order, Go):
                checkpoints.let_go(order)
                continue
            checkpoints.hear(order.now)
            task: asyncio.Task[object] = loop.create_task(_carry_out(service, checkpoints, order))
            checkpoints.number(task, order.task)
            tasks.add(task)
            task.add_done_callback(tasks.discard)


def _with_checkpoints(
    spec: ProcessSpec, service: Service, checkpoints: Checkpoints, client: aiohttp.ClientSession
) -> Service:
    """The service with its parts wrapped, so that each call stops at a checkpoint.

    `override` replaces a part by a broken one, to test the simulation itself.
    """
    patient, impatient = (
        SimulatorProvider(
            base_url=spec.provider_url,
            api_key=spec.api_key,
            webhook_secret=spec.webhook_secret,
            timeout_seconds=seconds,
            key_life=KEY_LIFE,
            client=client,
        )
        for seconds in (PATIENT_SECONDS, IMPATIENT_SECONDS)
    )
    provider = CheckpointedProvider(patient, impatient, checkpoints)
    service = replace(
        service,
        store=CheckpointedStore(service.store, checkpoints),
        feed=CheckpointedFeed(service.feed, checkpoints),
        providers={provider.name: provider},
    )
    if spec.override:
        module, _, name = spec.override.partition(":")
        override: Callable[[Service], Service] = getattr(import_module(module), name)
        service = override(service)
    return service


async def _carry_out(service: Service, checkpoints: Checkpoints, begin: Begin) -> None:
    task = asyncio.current_task()
    assert task is not None
    try:
        result = await COMMANDS[begin.command](service, begin.words)
    except Unavailable as error:  # the API would answer 503, and the client would repeat the request
        result = Result("error", type(error).__name__, text=str(error))
    except JituiError as error:
        result = Result("broken", type(error).__name__, text=str(error))
    except Exception as error:
        result = Result("error", type(error).__name__, text=str(error))
    if _overheard:
        result = msgspec.structs.replace(result, text="; ".join((*_overheard, result.text)))
        _overheard.clear()
    checkpoints.command_ended(task, result)


# The commands ------------------------------------------------------------------------------------------------------


def _text(words: Words, name: str) -> str:
    value = words.get(name)
    return value if isinstance(value, str) else ""


def _units(words: Words) -> tuple[LineUnits, ...]:
    """`l1:2,l2:1` as units; an empty text means all."""
    named = (part.split(":") for part in _text(words, "units").split(",") if part)
    return tuple(LineUnits(line_id, int(quantity)) for line_id, quantity in named)


def _result(done: Done) -> Result:
    if isinstance(done, Refusal):
        return Result("refusal", done.code.value)
    if isinstance(done, StoredResponse):
        return msgspec.structs.replace(msgspec.json.decode(done.body, type=Result), kind="kept")
    return _of_plan(done)


def _of_plan(done: Executed) -> Result:
    if done.ticket_id is None:
        return Result("plan")
    ticket = done.ticket
    approved_by = ticket.approved_by.value if ticket.approved_by else ""
    return Result("plan", ticket_id=str(ticket.ticket_id), state=ticket.state.value, approved_by=approved_by)


async def _ask(service: Service, words: Words) -> Result:
    buyer_id = _text(words, "buyer_id")
    request = RefundRequest(buyer_id, _text(words, "order_id"), lines=_units(words))
    key = _text(words, "key")
    idempotency_key = IdempotencyKey(buyer_id, "ask", key, msgspec.json.encode(request))

    made: list[Result] = []

    def render(done: Executed) -> StoredResponse:
        answered_at = service.clock()
        made.append(msgspec.structs.replace(_of_plan(done), answered_at=answered_at.timestamp()))
        return StoredResponse(201, msgspec.json.encode(made[-1]), answered_at)

    reply = IdempotentReply(idempotency_key, render)
    done = await request_refund(
        service.store, await service.decision_settings(), request, now=service.clock(), reply=reply
    )
    return made[-1] if isinstance(done, Executed) else _result(done)


async def _ship(service: Service, words: Words) -> Result:
    update = _shipment(service, words)
    kind = ActorKind.CARRIER if update.source is ShipmentSource.CARRIER else ActorKind.MERCHANT
    ref = OrderRef(lane_of(_text(words, "buyer_id")), _text(words, "order_id"))
    return _result(await record_shipment(service.store, ref, update, by=Actor(kind, "somebody"), now=service.clock()))


def _shipment(service: Service, words: Words) -> ShipmentUpdate:
    status, source = ShipmentStatus(_text(words, "degree")), ShipmentSource(_text(words, "source"))
    return ShipmentUpdate(status, "SF", _text(words, "waybill"), source, service.clock(), _units(words))


def _ticket(words: Words) -> TicketRef:
    ticket_id = UUID(_text(words, "ticket_id"))
    return TicketRef(lane_of_id(ticket_id), ticket_id)


_MERCHANT = Actor(ActorKind.MERCHANT, "m")


async def _approve(service: Service, words: Words) -> Result:
    version = words.get("version")
    assert version is None or isinstance(version, int)
    return _result(await approve(service.store, _ticket(words), Acting(_MERCHANT, service.clock(), version)))


async def _reject(service: Service, words: Words) -> Result:
    shipment = _shipment(service, words) if words.get("waybill") else None
    rejection = Rejection(RejectionCode.OTHER, "no", (EvidenceItem("as agreed"),), shipment)
    return _result(await reject(service.store, _ticket(words), rejection, Acting(_MERCHANT, service.clock())))


async def _withdraw(service: Service, words: Words) -> Result:
    buyer = Actor(ActorKind.BUYER, _text(words, "buyer_id"))
    return _result(await withdraw(service.store, _ticket(words), Acting(buyer, service.clock())))


async def _retry(service: Service, words: Words) -> Result:
    refund_id = UUID(_text(words, "refund_id"))
    ref = RefundRef(lane_of_id(refund_id), refund_id)
    by, now = Actor(ActorKind.OPERATOR, "o"), service.clock()
    return _result(await retry(service.store, ref, service.manual_payment_rules, by=by, now=now))


async def _notify(service: Service, words: Words) -> Result:
    """Check and confirm a notification, as the HTTP handler does."""
    (provider,) = service.providers.values()
    headers = msgspec.json.decode(_text(words, "headers"), type=dict[str, str])
    read = provider.read_notification(headers, _text(words, "body").encode(), service.clock())
    # the simulator sends no notifications about disputes
    if isinstance(read, NotificationIgnored | DisputeNotification):
        return Result("ignored", status=204)
    if isinstance(read, NotificationRefused):
        return Result("refusal", "signature-refused", status=401, text=read.reason)
    ref = AttemptRef(lane_of_id(read.attempt_id), read.attempt_id)
    done = await confirm(service.store, ref, RefundUpdate(read.result, provider=provider.name), now=service.clock())
    return msgspec.structs.replace(_result(done), status=404 if isinstance(done, Refusal) else 204)


async def _pay(service: Service, _: Words) -> Result:
    return Result("done", status=await pay_due(service))


async def _expire(service: Service, _: Words) -> Result:
    return Result("done", status=await expire_due(service) + await remind_due(service))


async def _roll_up(service: Service, _: Words) -> Result:
    await service.feed.roll_up(service.clock())
    return Result("done")


async def _forget(service: Service, _: Words) -> Result:
    return Result("done", status=await service.store.purge_responses(service.clock() - KEEP_RESPONSES))


COMMANDS: dict[str, Callable[[Service, Words], Awaitable[Result]]] = {
    "ask": _ask,
    "ship": _ship,
    "approve": _approve,
    "reject": _reject,
    "withdraw": _withdraw,
    "retry": _retry,
    "notify": _notify,
    "pay": _pay,
    "expire": _expire,
    "roll_up": _roll_up,
    "forget": _forget,
}
