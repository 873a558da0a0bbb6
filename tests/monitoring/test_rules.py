"""Every alert fires for what it is about and is silent otherwise, by Prometheus's own unit tests of rules."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.monitoring.shipped import ROOT, RULES, RUN_BOOK, alerts, expressions, metrics_in


@dataclass(frozen=True)
class Case:
    """Series that make an alert fire, and the same a little below; a sample a minute."""

    fires: tuple[str, ...]
    quiet: tuple[str, ...]
    after: str = "12m"
    alerts: int = 1


def level(series: str, fires: str, quiet: str, **more: str) -> Case:
    """A gauge that stands for an hour."""
    return Case((f"{series} {fires}x60",), (f"{series} {quiet}x60",), **more)  # type: ignore[arg-type]


def task(kind: str) -> Case:
    """A task of this kind is open."""
    return level(f'jitui_open_tasks{{kind="{kind}"}}', "1+0", "0+0")


def slow(metric: str, labels: str, bound: str, late: str) -> Case:
    """Of a hundred calls a minute most, or all but none, take longer than the bound."""
    within, over = (f'{metric}_bucket{{{labels},le="{le}"}}' for le in (bound, late))
    every = f'{metric}_bucket{{{labels},le="+Inf"}}'
    slow_ones = (f"{within} 0+10x60", f"{over} 0+100x60", f"{every} 0+100x60")
    return Case(slow_ones, (f"{within} 0+100x60", f"{over} 0+100x60", f"{every} 0+100x60"), after="25m")


REQUESTS = 'jitui_http_requests_total{method="GET",route="/a",status="%s"}'
PROVIDER = 'provider="stripe"'

CASES = {
    "JituiDown": level('up{job="jitui",instance="a"}', "0+0", "1+0"),
    "JituiWorkerDown": level('up{job="jitui-worker",instance="w"}', "0+0", "1+0"),
    "JituiDatabaseDown": Case(
        ('jitui_database_up{instance="a"} 0+0x60', 'jitui_database_up{instance="b"} 0+0x60'),
        ('jitui_database_up{instance="a"} 0+0x60', 'jitui_database_up{instance="b"} 1+0x60'),
    ),
    "JituiFiguresOld": level('jitui_figures_age_seconds{figures="caps"}', "301+0", "300+0"),
    "JituiNoWorker": level("jitui_workers", "0+0", "1+0"),
    "JituiWorkerSilent": level('jitui_worker_seen_seconds{worker="w"}', "61+0", "60+0"),
    "JituiWorkerStepFails": level('jitui_worker_step_failures_total{step="claim"}', "0+1", "0+0.3", after="30m"),
    "JituiPoolExhausted": Case(
        ('jitui_pool_waiting{instance="a"} 1+0x60', 'jitui_pool_refused_total{instance="b"} 0+1x60'),
        ('jitui_pool_waiting{instance="a"} 0+0x60', 'jitui_pool_refused_total{instance="b"} 7+0x60'),
        alerts=2,
    ),
    "JituiPayoutsHeld": level("jitui_payouts_held", "1+0", "0+0"),
    "JituiPlatformUnread": level('jitui_platform_unread_seconds{platform="vendure"}', "901+0", "900+0"),
    "JituiRefundFailed": Case(
        ('jitui_refunds{provider="stripe",state="failed"} 1+0x60',),
        ('jitui_refunds{provider="stripe",state="queued"} 9+0x60',),
    ),
    "JituiRefundsWait": level('jitui_refund_oldest_seconds{provider="stripe",state="queued"}', "301+0", "300+0"),
    "JituiOutcomeOverdue": task("outcome_overdue"),
    "JituiProviderNotConfigured": task("provider_not_configured"),
    "JituiProviderTrouble": level('jitui_provider_trouble{provider="stripe",trouble="failing"}', "1+0", "0+0"),
    "JituiProviderSlow": slow("jitui_provider_call_seconds", f'call="send",{PROVIDER}', "5.0", "10.0"),
    "JituiLedgerUnbalanced": level("jitui_ledger_unbalanced_orders", "1+0", "0+0"),
    "JituiIncidents": level("jitui_open_incidents", "1+0", "0+0"),
    "JituiRollUpStale": level("jitui_roll_up_age_seconds", "61+0", "60+0"),
    "JituiAppealOverdue": task("appeal_overdue"),
    "JituiArbitrationOverdue": task("arbitration_overdue"),
    "JituiCapNearlyUsed": level('jitui_cap_usage_ratio{scope="shop",of="count"}', "0.91+0", "0.9+0"),
    "JituiErrors": Case(
        (f"{REQUESTS % 503} 0+2x60", f"{REQUESTS % 200} 0+98x60"),
        (f"{REQUESTS % 404} 0+50x60", f"{REQUESTS % 500} 0+1x60", f"{REQUESTS % 200} 0+99x60"),
    ),
    "JituiSlow": slow("jitui_http_request_seconds", 'method="POST",route="/v1/after-sales"', "1.0", "2.5"),
    "JituiKeysGuessed": level('jitui_api_key_refusals_total{reason="unknown"}', "0+61", "0+59", after="25m"),
    "JituiPasswordsGuessed": level('jitui_sign_in_refusals_total{reason="wrong_password"}', "0+6", "0+4", after="25m"),
    "JituiWebhooksLate": level("jitui_webhook_oldest_pending_seconds", "901+0", "900+0"),
    "JituiWebhooksGivenUp": task("webhook_dead_letter"),
    "JituiWebhookEndpointPaused": task("webhook_endpoint_paused"),
    "JituiNoticesGivenUp": task("notice_dead"),
    "JituiNoticeUnknown": task("notice_unknown"),
    "JituiNoticesLate": level("jitui_notice_oldest_pending_seconds", "7201+0", "7200+0"),
    "JituiComplaintOverdue": task("complaint_overdue"),
    "JituiChangeUnconfirmed": task("change_unconfirmed"),
    "JituiCanaryEnded": task("canary_ended"),
    "JituiCanarySignal": task("canary_signal"),
    "JituiApiKeyEnds": Case(
        ("jitui_api_keys_ending_soon 1+0x120",), ("jitui_api_keys_ending_soon 0+0x120",), after="70m"
    ),
    "JituiTasksLie": Case(
        ('jitui_open_tasks{kind="paid_twice"} 1+0x1500',),
        ('jitui_open_tasks{kind="paid_twice"} 0+0x1500',),
        after="25h",
    ),
}


@pytest.fixture(scope="module")
def promtool() -> str:
    """Prometheus's own tool; Debian's package prometheus has it."""
    found = shutil.which("promtool")
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("promtool is not here: make setup installs Debian's package prometheus")
        pytest.skip("promtool is not here: Debian's package prometheus has it")
    return found


def unit_test(name: str, series: tuple[str, ...], case: Case, firing: int) -> dict[str, object]:
    """A test of promtool's: how many alerts of this name fire."""
    told = [{"series": one.rpartition(" ")[0], "values": one.rpartition(" ")[2]} for one in series]
    question = f'count(ALERTS{{alertname="{name}",alertstate="firing"}})'
    samples = [{"labels": "{}", "value": firing}] if firing else []
    asked = [{"expr": question, "eval_time": case.after, "exp_samples": samples}]
    return {"interval": "1m", "input_series": told, "promql_expr_test": asked}


@pytest.mark.parametrize("name", CASES)
def test_the_alert_fires_for_what_it_is_about_and_for_nothing_less(promtool: str, tmp_path: Path, name: str) -> None:
    case = CASES[name]
    tests = [unit_test(name, case.fires, case, case.alerts), unit_test(name, case.quiet, case, 0)]
    file = tmp_path / "rules.test.json"
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
    done = subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_takes_rules_and_configuration(promtool: str, tmp_path: Path) -> None:
    config = ROOT / "deploy" / "prometheus" / "prometheus.yml"
    text = config.read_text(encoding="utf-8")
    (tmp_path / "token").touch()
    (tmp_path / "jitui.rules.yml").write_bytes(RULES.read_bytes())
    here = tmp_path / "prometheus.yml"
    here.write_text(text.replace("/run/secrets/metrics_token", str(tmp_path / "token")))
    for words in (["check", "rules", str(RULES)], ["check", "config", str(here)]):
        done = subprocess.run([promtool, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_case_a_severity_and_its_section_of_the_run_book() -> None:
    known = {alert["alert"]: alert for alert in alerts()}
    assert set(known) == set(CASES)
    page = RUN_BOOK.read_text(encoding="utf-8")
    sections = [part.split("\n", 1) for part in page.split("\n### ")[1:]]
    assert sorted(title for title, _ in sections) == sorted(known)
    for title, text in sections:
        assert len([part for part in text.split("\n\n") if part.strip()]) >= 2, (
            f"{title}: what it means, and what to do"
        )
    for name, alert in known.items():
        assert alert["labels"]["severity"] in ("page", "ticket")
        assert alert["annotations"]["runbook"] == f"docs/how-to/answer-an-alert.md#{name.lower()}"


def test_the_metrics_of_alerts_are_those_of_their_cases() -> None:
    for alert in alerts():
        told = CASES[alert["alert"]]
        assert metrics_in(str(alert["expr"])) == metrics_in(" ".join(told.fires))
    assert all(metrics_in(expression) or expression.startswith("up") for expression in expressions())
