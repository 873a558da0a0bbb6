"""Pays approved refunds exactly once (`architecture.md`, *The way of a refund*; I2).

Claim (which commits `sending`) → call the provider with the attempt's id as the key → `confirm`. Results of calls,
webhooks, polls and reconciliation all go through `confirm`, which is idempotent and orders late and repeated reports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.refund_updates import KEY_EXPIRED, RefundUpdate, confirm
from jitui.aftersales.model.refund import Attempt, Refund
from jitui.aftersales.outcomes import Refusal, StoredResponse
from jitui.aftersales.ports import AttemptRef, ClaimedRefund, Store
from jitui.aftersales.provider import PaymentProvider, RefundInstruction, RefundResult, RefundResultKind

Clock = Callable[[], datetime]

NO_WAY_TO_ASK = "the provider cannot be asked what became of it: reconcile its next statement (jitui reconcile)"
NO_WAY_TO_REPEAT = (
    "the provider has no such refund, but without an idempotency key a repeat could pay twice:"
    " reconcile its next statement (jitui reconcile)"
)
A_DAY_SECONDS = 86_400.0
"""How long to wait before a refund that only a statement can settle is looked at again."""


async def pay_claimed(
    store: Store, providers: Mapping[str, PaymentProvider], claimed: ClaimedRefund, *, clock: Clock
) -> Executed | Refusal | StoredResponse:
    """Call the provider for one claimed refund and confirm the result; raises nothing for what a provider does."""
    provider = providers[claimed.refund.provider]
    update = await _call(provider, claimed, clock)
    return await confirm(store, AttemptRef(claimed.lane, claimed.attempt.attempt_id), update, now=clock())


async def _call(provider: PaymentProvider, claimed: ClaimedRefund, clock: Clock) -> RefundUpdate:
    instruction = refund_instruction(claimed.refund, claimed.attempt)
    if claimed.look_up_first and not provider.capabilities.look_up:
        if not (provider.capabilities.keys and claimed.may_send):
            return RefundUpdate(
                RefundResult(RefundResultKind.UNKNOWN, reason=NO_WAY_TO_ASK, retry_after_seconds=A_DAY_SECONDS)
            )
    elif claimed.look_up_first:
        found = await provider.look_up(instruction)
        if found.kind is not RefundResultKind.NOT_FOUND:
            return RefundUpdate(found, looked_up=True, lease=claimed.refund.leased_until)
        if not claimed.may_send:
            return RefundUpdate(
                RefundResult(
                    RefundResultKind.UNKNOWN, reason="the provider no longer knows an attempt that it had accepted"
                )
            )
        if not provider.capabilities.keys:
            return RefundUpdate(
                RefundResult(RefundResultKind.UNKNOWN, reason=NO_WAY_TO_REPEAT, retry_after_seconds=A_DAY_SECONDS)
            )
        if found.key_life is not None and clock() - claimed.attempt.started_at >= found.key_life:
            gone = RefundResult(RefundResultKind.DECLINED, reason=KEY_EXPIRED)
            return RefundUpdate(gone, looked_up=True, lease=claimed.refund.leased_until)
    lease = claimed.refund.leased_until
    if lease is not None and clock() > lease:
        # The worker was held up: another worker may be calling for this refund, or the provider may have forgotten the
        # key.
        return RefundUpdate(
            RefundResult(RefundResultKind.UNKNOWN, reason="the lease ran out before the refund was sent")
        )
    # The provider does not know the attempt, so sending it with its key cannot pay twice (T5, T15, T27).
    return RefundUpdate(await provider.send(instruction))


def refund_instruction(refund: Refund, attempt: Attempt) -> RefundInstruction:
    """The refund to ask the provider for; the attempt's id is the idempotency key."""
    return RefundInstruction(
        attempt_id=attempt.attempt_id,
        provider=refund.provider,
        payment_id=refund.payment_id,
        order_id=refund.order_id,
        amount_minor=refund.amount_minor,
        currency=refund.currency,
        captured_minor=refund.captured_minor,
        may_advance=refund.may_advance,
    )
