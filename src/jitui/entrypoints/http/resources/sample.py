"""The data that the examples of all resources share: one order, its ticket and its money."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from jitui.aftersales.model.view import Amount

ASKED_AT = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
PAID_AT = ASKED_AT - timedelta(hours=1)
REFUNDED_AT = ASKED_AT + timedelta(seconds=2)
TICKET_ID = UUID("0197312a-6c00-7a11-b4c5-0d5e6f708a3c")
REFUND_ID = UUID("0197312a-6c00-7a12-9d11-2b3c4d5e6f3c")
ATTEMPT_ID = UUID("0197312a-6c40-7a13-8e22-5f60718293a4")
INCIDENT_ID = UUID("0197312a-7000-7a14-a133-8192a3b4c53c")
RESTRICTION_ID = UUID("0197312a-7400-7a15-b244-a3b4c5d6e73c")
APPEAL_ID = UUID("0197312a-7600-7a18-9577-d6e7f8090a3c")
COMPLAINT_ID = UUID("0197312a-7700-7a18-b577-d6e7f8091a3c")
ENDPOINT_ID = UUID("0197312a-7800-7a16-8355-b4c5d6e7f809")
NOTICE_ID = UUID("5c0f6f43-5a5e-4d0a-9d52-6c1f1c1a2b3c")
TASK_ID = UUID("3b0f6f43-5a5e-5d0a-9d52-6c1f1c1a2b3c")
PROPOSAL_ID = UUID("0197312a-8000-7a18-9577-d6e7f8091a00")
CONFIRMATION_ID = UUID("0197312a-8400-7a19-a688-e7f8091a2b00")
PSEUDONYM = "bp_0d5b8f6a2c714e93a7f04d1b6c2e9a58"
ERASURE_ID = UUID("0197312a-7c00-7a17-a466-c5d6e7f8093c")
FULL = Amount(12900, "CNY")
ZERO = Amount(0, "CNY")
NOTICE = {
    "zh": "该用户为平台优质用户且订单满足极速退款条件，平台已自动审核通过卖家发货前仅退款申请",
    "en": "This buyer is a premium buyer of the platform and the order meets the conditions for an instant refund: the "
    "platform has automatically approved the refund-only request made before shipment",
}
UNDER_300 = {"zh": "订单实付金额低于 ¥300.00", "en": "The order's paid amount is under CN¥300.00"}
CURSOR = "WyIyMDI2LTA2LTAxVDEyOjAwOjAwWiIsIm8tMTAwMSJd"
