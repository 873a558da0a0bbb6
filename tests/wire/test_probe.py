"""Whether a provider takes our key is asked without moving money: a refused key is not a late answer or a dead line."""

from __future__ import annotations

from jitui.aftersales.operations.probe import ProviderProblem, probe
from jitui.aftersales.provider import CallTrouble
from tests.provider_simulator.server import SimulatorProcess
from tests.wire import alipay_server, test_simulator_adapter, test_stripe_adapter, wechat_pay_server
from tests.wire.alipay_server import alipay_running
from tests.wire.stripe_server import refusal, stripe_server

AWAY = "http://127.0.0.1:9"


def kind_of(problem: ProviderProblem | None) -> CallTrouble:
    assert problem is not None and problem.reason
    return problem.trouble


async def test_the_simulator(simulator: SimulatorProcess) -> None:
    async with test_simulator_adapter.provider_at(simulator.url) as provider:
        assert await probe(provider) is None
    async with test_simulator_adapter.provider_at(simulator.url, api_key="another-key-of-ours") as provider:
        assert kind_of(await probe(provider)) is CallTrouble.UNAUTHORISED
    async with test_simulator_adapter.provider_at(AWAY) as provider:
        assert kind_of(await probe(provider)) is CallTrouble.UNREACHABLE


async def test_stripe() -> None:
    async with stripe_server() as server:
        async with test_stripe_adapter.provider_at(server.url) as provider:
            assert await probe(provider) is None
        async with test_stripe_adapter.provider_at(server.url, secret_key="sk_test_old") as provider:
            assert kind_of(await probe(provider)) is CallTrouble.UNAUTHORISED
        server.list_answers.append(refusal(500, None, kind="api_error"))
        async with test_stripe_adapter.provider_at(server.url) as provider:
            assert kind_of(await probe(provider)) is CallTrouble.FAILING
        assert server.refunds == []
    async with test_stripe_adapter.provider_at(AWAY) as provider:
        assert kind_of(await probe(provider)) is CallTrouble.UNREACHABLE


async def test_alipay() -> None:
    async with alipay_running() as server:
        async with alipay_server.provider_at(server.url) as provider:
            assert await probe(provider) is None
            server.faults["fastpay.refund.query"] = [alipay_server.Fault.UNSIGNED]
            server.says["fastpay.refund.query"] = [{"code": "40002", "msg": "m", "sub_code": "isv.invalid-signature"}]
            assert kind_of(await probe(provider)) is CallTrouble.UNAUTHORISED
        server.faults["fastpay.refund.query"] = [alipay_server.Fault.HANG]
        async with alipay_server.provider_at(server.url, timeout_seconds=0.2) as provider:
            assert kind_of(await probe(provider)) is CallTrouble.TIMED_OUT
        assert set(server.methods()) == {"fastpay.refund.query"}
    async with alipay_server.provider_at(f"{AWAY}/gateway.do") as provider:
        assert kind_of(await probe(provider)) is CallTrouble.UNREACHABLE


async def test_wechat_pay() -> None:
    async with wechat_pay_server.wechat_pay_server() as server:
        async with wechat_pay_server.provider_at(server.url) as provider:
            assert await probe(provider) is None
            server.look_up_faults = [wechat_pay_server.error(401, "SIGN_ERROR")]
            assert kind_of(await probe(provider)) is CallTrouble.UNAUTHORISED
        server.look_up_faults = ["hang"]
        async with wechat_pay_server.provider_at(server.url, timeout_seconds=0.2) as provider:
            assert kind_of(await probe(provider)) is CallTrouble.TIMED_OUT
    async with wechat_pay_server.provider_at(AWAY) as provider:
        assert kind_of(await probe(provider)) is CallTrouble.UNREACHABLE
