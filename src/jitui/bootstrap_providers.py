"""The payment providers that the settings name, and how each writes its statements."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from jitui.aftersales.provider import PaymentProvider
from jitui.aftersales.reconciliation.statement import StatementFormat
from jitui.settings import Settings, read_secret_file

if TYPE_CHECKING:
    from jitui.adapters.payments.alipay.provider import AlipayProvider
    from jitui.adapters.payments.simulator import SimulatorProvider
    from jitui.adapters.payments.stripe.provider import StripeProvider
    from jitui.adapters.payments.wechat_pay import WeChatPayProvider


async def open_providers(settings: Settings, stack: AsyncExitStack) -> dict[str, PaymentProvider]:
    """Every configured provider, by name; each is closed together with the service."""
    providers: dict[str, PaymentProvider] = {}
    for provider in (alipay(settings), simulator(settings), stripe(settings), wechat_pay(settings)):
        if provider is not None:
            await stack.enter_async_context(provider)
            providers[provider.name] = provider
    return providers


# Each is None where it is not configured, raises NotConfigured for secrets that cannot be used, and calls nobody. The
# libraries of the real ones take half a second to import: that is paid where they are configured.


def alipay(settings: Settings) -> AlipayProvider | None:
    """Alipay, with the keys that are in its files now."""
    if (
        settings.alipay_app_id is None
        or settings.alipay_private_key_file is None
        or settings.alipay_public_key_file is None
    ):
        return None
    from jitui.adapters.payments.alipay.provider import AlipayProvider

    return AlipayProvider(
        app_id=settings.alipay_app_id,
        private_key=read_secret_file(settings.alipay_private_key_file),
        public_key=read_secret_file(settings.alipay_public_key_file),
        gateway=settings.alipay_gateway,
        timeout_seconds=settings.provider_timeout_seconds,
    )


def simulator(settings: Settings) -> SimulatorProvider | None:
    """The provider simulator."""
    if settings.simulator_url is None or settings.simulator_key is None or settings.simulator_webhook_secret is None:
        return None
    from jitui.adapters.payments.simulator import SimulatorProvider

    return SimulatorProvider(
        base_url=settings.simulator_url,
        api_key=settings.simulator_key,
        webhook_secret=settings.simulator_webhook_secret,
        timeout_seconds=settings.provider_timeout_seconds,
    )


def stripe(settings: Settings) -> StripeProvider | None:
    """Stripe, with the secrets that are in its files now."""
    if settings.stripe_secret_key_file is None or settings.stripe_webhook_secret_file is None:
        return None
    from jitui.adapters.payments.stripe.provider import StripeProvider

    return StripeProvider(
        secret_key=read_secret_file(settings.stripe_secret_key_file),
        webhook_secret=read_secret_file(settings.stripe_webhook_secret_file),
        api_base=settings.stripe_api_base,
        timeout_seconds=settings.provider_timeout_seconds,
    )


def wechat_pay(settings: Settings) -> WeChatPayProvider | None:
    """WeChat Pay, with the keys that are in its files now."""
    if (
        settings.wechat_pay_merchant_id is None
        or settings.wechat_pay_certificate_serial is None
        or settings.wechat_pay_private_key_file is None
        or settings.wechat_pay_api_v3_key_file is None
        or settings.wechat_pay_public_key_file is None
        or settings.wechat_pay_public_key_id is None
        or settings.wechat_pay_notify_url is None
    ):
        return None
    from jitui.adapters.payments.wechat_pay import WeChatPayProvider

    return WeChatPayProvider(
        merchant_id=settings.wechat_pay_merchant_id,
        certificate_serial=settings.wechat_pay_certificate_serial,
        private_key=read_secret_file(settings.wechat_pay_private_key_file),
        api_v3_key=read_secret_file(settings.wechat_pay_api_v3_key_file),
        public_key=read_secret_file(settings.wechat_pay_public_key_file),
        public_key_id=settings.wechat_pay_public_key_id,
        notify_url=settings.wechat_pay_notify_url,
        api_base=settings.wechat_pay_api_base,
        timeout_seconds=settings.provider_timeout_seconds,
    )


def statement_formats() -> dict[str, StatementFormat]:
    """The statement formats, by the provider's name on a payment."""
    from jitui.adapters.payments.statements.alipay import AlipayStatements
    from jitui.adapters.payments.statements.simulator import SimulatorStatements
    from jitui.adapters.payments.statements.stripe import StripeStatements
    from jitui.adapters.payments.statements.wechat_pay import WeChatPayStatements

    return {
        "simulator": SimulatorStatements(),
        "wechat_pay": WeChatPayStatements(),
        "alipay": AlipayStatements(),
        "stripe": StripeStatements(),
    }
