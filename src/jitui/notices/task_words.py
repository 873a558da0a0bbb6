"""What each kind of task is about, as a mail to an operator says it."""

from __future__ import annotations

from collections.abc import Mapping

from jitui.aftersales.model.task import TaskKind
from jitui.notices.words import Words, both

TASKS: Mapping[TaskKind, Words] = {
    TaskKind.OURS_ONLY: both("平台有、支付渠道没有的款项", "A payment that the provider's statement does not have"),
    TaskKind.THEIRS_ONLY: both("支付渠道有、平台没有的款项", "A payment that only the provider's statement has"),
    TaskKind.AMOUNT_DIFFERS: both("与对账单的金额不一致", "An amount differs from the provider's statement"),
    TaskKind.CURRENCY_DIFFERS: both("与对账单的币种不一致", "A currency differs from the provider's statement"),
    TaskKind.PAID_TWICE: both("同一笔款项被支付两次", "Something was paid twice"),
    TaskKind.UNREADABLE_ROW: both("对账单中有无法读取的行", "A row of a statement cannot be read"),
    TaskKind.CAPTURED_AFTER_REFUND: both("退款后又收到款项", "Money was captured after the refund"),
    TaskKind.ANSWER_DIFFERS: both(
        "支付渠道的答复涉及另一笔付款、金额或币种", "A provider answered about another payment, amount or currency"
    ),
    TaskKind.PAYMENT_DIFFERS: both("对账单与账本涉及不同的付款", "The statement names another payment than the books"),
    TaskKind.DISPUTE_DIFFERS: both("拒付的两次通知不一致", "A card dispute was told twice, and differs"),
    TaskKind.DISPUTE_OVERLAPS: both("退款后又发生拒付", "A card dispute about money that was refunded"),
    TaskKind.REFUND_NOT_IN_BOOKS: both("恢复数据后发现账上没有的退款", "A refund that the restored books do not have"),
    TaskKind.REFUND_FAILED: both("退款失败", "A refund failed"),
    TaskKind.OUTCOME_OVERDUE: both("退款结果逾期未知", "What became of refunds is not known for too long"),
    TaskKind.PROVIDER_NOT_CONFIGURED: both(
        "退款等待未配置的支付渠道", "Refunds wait for a provider that no worker is configured for"
    ),
    TaskKind.PROVIDER_TROUBLE: both("支付渠道异常", "A worker cannot work with a provider"),
    TaskKind.LEDGER_UNBALANCED: both("账本与付款不一致", "The ledger of an order and its payments differ"),
    TaskKind.ROLL_UP_STALE: both("限额用量数据过期", "The usage of caps is too old"),
    TaskKind.WORKER_SILENT: both("后台进程失去响应", "A worker has fallen silent"),
    TaskKind.NO_WORKER: both("没有后台进程在工作", "No worker is at work"),
    TaskKind.APPEAL_OVERDUE: both("买家申诉逾期未答复", "An appeal was not answered in time"),
    TaskKind.ARBITRATION_OVERDUE: both("平台介入逾期未判定", "An arbitration was not decided in time"),
    TaskKind.COMPLAINT_OVERDUE: both("商家申诉逾期未答复", "A merchant's complaint was not answered in time"),
    TaskKind.WEBHOOK_DEAD_LETTER: both("有事件通知未能送达", "An event could not be delivered to a webhook"),
    TaskKind.WEBHOOK_ENDPOINT_PAUSED: both("一个事件通知地址已暂停", "A webhook endpoint was paused"),
    TaskKind.NOTICE_DEAD: both("有消息未能发出", "Notices could not be sent"),
    TaskKind.NOTICE_UNKNOWN: both("有消息不确定是否已发出", "It is not known whether a notice was sent"),
    TaskKind.CANARY_ENDED: both("灰度规则被自动结束", "A canary was ended by its guard"),
    TaskKind.CANARY_SIGNAL: both("灰度规则出现信号，暂不扩大", "A signal stands against a canary"),
    TaskKind.CHANGE_UNCONFIRMED: both("一人所作的更改未经第二人确认", "A change by one person waits for a second"),
    TaskKind.PLATFORM_UNREAD: both(
        "无法读取店铺的电商系统，买家暂时不能申请退款",
        "A shop's platform cannot be read: its buyers cannot ask for refunds",
    ),
}
