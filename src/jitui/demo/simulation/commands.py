"""The commands of buyers, merchants, operators, workers and webhooks, and how clients use the results."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from jitui.demo.simulation.actors import TURNS, Process, RunningCommand
from jitui.demo.simulation.marketplace_model import MarketplaceModel, Promise
from jitui.demo.simulation.messages import Begin, Result, write
from jitui.demo.simulation.process import Words
from jitui.demo.simulation.workload import WorkloadStep, drawn

DATABASE_AWAY = "Unavailable"
"""The exception with which a command may end when the database was killed."""
_TURNS = tuple(zip(TURNS, (70, 10, 18, 2), strict=True))


async def take_turn(model: MarketplaceModel, process: Process, command: str = "") -> None:
    """Let a worker run one of its periodic steps: the given one, or a random one."""
    turn = command or drawn(model.rng, _TURNS)
    model.note(f"  {turn}")
    _begin(model, process, turn, {}, lambda result: _note_error(model, result, turn))


async def act(model: MarketplaceModel) -> None:
    """Let somebody try a step of the workload."""
    last = len(model.workload.steps) - 1
    place = last if model.workload.rushed else model.rng.randint(0, last)
    step = model.workload.steps.pop(place)
    words = _words(model, step)
    if words is None:
        _again(model, step)
        return
    model.note(f"  {step.kind} {words}")
    model.counts[f"act:{step.kind}"] += 1
    _send(model, step.kind, words, lambda result: _heard(model, step, words, result))


def _words(model: MarketplaceModel, step: WorkloadStep) -> Words | None:
    """The arguments of the command; None when the order has no ticket for it."""
    deal = step.deal
    words: Words = {"order_id": deal.order_id, "buyer_id": deal.buyer_id, "units": step.units, "key": step.key}
    if step.waybill:
        words |= {"waybill": f"{deal.order_id}/{step.waybill}", "degree": step.degree, "source": step.source}
    if step.kind in ("ask", "ship"):
        return words
    state = "%" if model.rng.random() < 0.15 else "awaiting_merchant"
    rows = model.ask(
        "SELECT ticket_id::text, version FROM ticket WHERE order_id = %s AND state LIKE %s ORDER BY requested_at",
        deal.order_id,
        state,
    )
    if not rows:
        return None
    ticket_id, version = model.rng.choice(rows)
    return {**words, "ticket_id": str(ticket_id), "version": int(str(version)) if model.rng.random() < 0.5 else None}


def _again(model: MarketplaceModel, step: WorkloadStep) -> None:
    step.tries -= 1
    if step.tries > 0:
        model.workload.steps.insert(0, step)


def _heard(model: MarketplaceModel, step: WorkloadStep, words: Words, result: Result | None) -> None:
    """Act as the client on the result of a command, or on a missing one."""
    _note_error(model, result, step.kind)
    if result is None or result.kind == "error" or result.code in ("too-many-requests", "request-in-flight"):
        _again(model, step)
        return
    model.counts[f"answer:{step.kind}:{result.code or result.kind}"] += 1
    if result.kind not in ("plan", "kept"):
        wrong = model.keys.refusal(step.key, result.code, model.now)
        model.broken += [wrong] if wrong else []
        return
    if step.kind == "ask":
        wrong = model.keys.ticket(step.key, result)
        model.broken += [wrong] if wrong else []
    model.counts["approved:instant_refund"] += step.kind == "ask" and result.approved_by == "instant_refund"
    approved = step.kind == "approve" or bool(result.approved_by)
    model.promises.append(
        Promise(step.kind, step.deal.order_id, result.ticket_id, approved, str(words.get("waybill") or ""))
    )


async def operate(model: MarketplaceModel) -> None:
    """Let an operator retry a failed refund; at the end all of them."""
    rows = model.ask("SELECT refund_id::text FROM refund WHERE state = 'failed' ORDER BY queued_at, tender_id")
    for (refund_id,) in rows[:1] if not model.quiet else rows:
        model.counts["act:operator_retry"] += 1
        _send(model, "retry", {"refund_id": str(refund_id)}, lambda result: _note_error(model, result, "retry"))


async def deliver_webhook(model: MarketplaceModel) -> None:
    """Lose or deliver one of the provider's messages, or deliver it and keep it for another delivery."""
    place = 0 if model.quiet else model.rng.randrange(len(model.mail))
    luck = 1.0 if model.quiet else model.rng.random()
    message = model.mail[place] if 0.12 <= luck < 0.24 else model.mail.pop(place)
    model.note(f"  {message.event_id} {'is lost' if luck < 0.12 else 'is delivered'}")
    if luck < 0.12:
        model.counts["webhook:lost"] += 1
        return
    model.counts["webhook:delivered"] += 1
    model.counts["webhook:repeated"] += luck < 0.24
    model.counts["webhook:reordered"] += place > 0
    model.counts["webhook:too_old"] += model.now - message.sent_at > 300
    words: Words = {"headers": msgspec.json.encode(dict(message.headers)).decode(), "body": message.body.decode()}

    def taken(result: Result | None) -> None:
        model.note(f"  {message.event_id}: {result}")
        if result is not None and result.status == 204:
            model.provider.books.notice_done(message.event_id, delivered=True)
        _note_error(model, result, "notify")

    _send(model, "notify", words, taken)


def _send(model: MarketplaceModel, command: str, words: Words, on_end: Callable[[Result | None], None]) -> None:
    """Send a command to one of the API processes."""
    _begin(model, model.rng.choice([one for one in model.processes if one.kind == "api"]), command, words, on_end)


def _begin(
    model: MarketplaceModel, process: Process, command: str, words: Words, on_end: Callable[[Result | None], None]
) -> None:
    model.numbers += 1
    process.tasks[model.numbers] = RunningCommand(model.numbers, command, words, on_end)
    write(process.writer, Begin(model.numbers, model.now, command, words))


def _note_error(model: MarketplaceModel, result: Result | None, what: str) -> None:
    """Record an error that no fault explains as a finding."""
    if result is None or (result.kind not in ("error", "broken") and not result.text):
        return
    if result.kind == "refusal":
        return
    model.note(f"  {what}: {result.kind} {result.code} {result.text}")
    if model.shaken and DATABASE_AWAY in f"{result.code} {result.text}":
        model.counts["database:errors"] += 1
        return
    model.broken.append(f"{what} ended with {result.code} {result.text}".strip())
