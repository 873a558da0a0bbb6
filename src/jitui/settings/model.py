"""The settings and their defaults. docs/reference/settings.md describes them, and a test compares both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

from jitui.settings import sign_in, values
from jitui.settings.values import (
    CurrencyAmount,
    Language,
    LogFormat,
    LogLevel,
    MailSender,
    Network,
    SmtpTls,
    YesOrNo,
    read_secret_file,
)

_Value = TypeVar("_Value")


def _setting(parse: Callable[[str], _Value], default: _Value, *, secret: bool = False) -> _Value:
    """One field with the parser that reads it; a secret is shown neither in `repr` nor in an error.

    A secret may also come from the file that the variable with `_FILE` at its end names.
    """
    return field(default=default, repr=not secret, metadata={"parse": parse, "secret": secret})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings: field `x_y` is the variable `JITUI_X_Y`."""

    home: Path = field(metadata={"parse": values.folder, "secret": False})
    database_url: str | None = _setting(values.postgres_url, None, secret=True)
    embedded_start_seconds: int = _setting(values.whole(1, 86_400), 120)
    host: str = _setting(values.host, "127.0.0.1")
    port: int = _setting(values.whole(0, 65_535), 8000)
    trusted_proxies: tuple[Network, ...] = _setting(values.networks, ())
    time_zone: ZoneInfo = _setting(values.time_zone, ZoneInfo("Asia/Shanghai"))
    language: Language = _setting(values.word(Language), Language.ZH_CN)
    policy_file: Path | None = _setting(values.file, None)
    alipay_app_id: str | None = _setting(values.alipay_app_id, None)
    alipay_private_key_file: Path | None = _setting(values.secret_file, None)
    alipay_public_key_file: Path | None = _setting(values.secret_file, None)
    alipay_gateway: str | None = _setting(values.http_url, None)
    simulator_url: str | None = _setting(values.http_url, None)
    simulator_key: str | None = _setting(values.key, None, secret=True)
    simulator_webhook_secret: str | None = _setting(values.key, None, secret=True)
    stripe_secret_key_file: Path | None = _setting(values.secret_file, None)
    stripe_webhook_secret_file: Path | None = _setting(values.secret_file, None)
    stripe_api_base: str | None = _setting(values.http_url, None)
    wechat_pay_merchant_id: str | None = _setting(values.word_of_provider, None)
    wechat_pay_certificate_serial: str | None = _setting(values.word_of_provider, None)
    wechat_pay_private_key_file: Path | None = _setting(values.secret_file, None)
    wechat_pay_api_v3_key_file: Path | None = _setting(values.secret_file, None)
    wechat_pay_public_key_file: Path | None = _setting(values.secret_file, None)
    wechat_pay_public_key_id: str | None = _setting(values.public_key_id, None)
    wechat_pay_notify_url: str | None = _setting(values.notify_url, None)
    wechat_pay_api_base: str | None = _setting(values.http_url, None)
    metrics_token: str | None = _setting(values.key, None, secret=True)
    worker_metrics_port: int | None = _setting(values.whole(0, 65_535), None)
    webhook_allowed_networks: tuple[Network, ...] = _setting(values.networks, ())
    webhook_allow_http: YesOrNo = _setting(values.word(YesOrNo), YesOrNo.NO)
    webhook_timeout_seconds: int = _setting(values.whole(1, 60), 10)
    webhook_dead_after_hours: int = _setting(values.whole(1, 720), 72)
    webhook_pause_after_hours: int = _setting(values.whole(1, 2_160), 120)
    webhook_keep_days: int = _setting(values.whole(1, 30), 30)
    smtp_host: str | None = _setting(values.host, None)
    smtp_port: int = _setting(values.whole(1, 65_535), 587)
    smtp_tls: SmtpTls = _setting(values.word(SmtpTls), SmtpTls.STARTTLS)
    smtp_user: str | None = _setting(str, None)
    smtp_password_file: Path | None = _setting(values.secret_file, None)
    smtp_timeout_seconds: int = _setting(values.whole(1, 60), 30)
    mail_from: MailSender | None = _setting(values.mail_sender, None)
    operator_mail: str | None = _setting(values.mail_address, None)
    address_book_url: str | None = _setting(values.http_url, None)
    address_book_key_file: Path | None = _setting(values.secret_file, None)
    notice_dead_after_hours: int = _setting(values.whole(1, 720), 72)
    notice_keep_days: int = _setting(values.whole(1, 365), 90)
    appeal_answer_days: int = _setting(values.whole(1, 90), 15)
    review_minutes: int = _setting(values.whole(1, 240), 4)
    arbitration_answer_days: int = _setting(values.whole(1, 90), 7)
    erasures_keep_days: int = _setting(values.whole(31, 3_650), 400)
    label_late_hours: int = _setting(values.whole(1, 720), 24)
    ship_by_near_hours: int = _setting(values.whole(1, 720), 24)
    stop_ship_answer_minutes: int = _setting(values.whole(1, 10_080), 30)
    complaints_answer_days: int = _setting(values.whole(1, 365), 15)
    incident_contest_days: int = _setting(values.whole(1, 365), 15)
    incident_recovery_days: int = _setting(values.whole(1, 730), 90)
    incident_recovery_attempts: int = _setting(values.whole(1, 1_000), 12)
    remote_url: str | None = _setting(values.http_url, None)
    api_key: str | None = _setting(values.key, None, secret=True)
    pool_size: int = _setting(values.whole(1, 1_000), 16)
    rate_per_key: int = _setting(values.whole(1, 100_000), 500)
    rate_per_address: int = _setting(values.whole(1, 100_000), 100)
    wrong_keys_per_minute: int = _setting(values.whole(1, 100_000), 600)
    public_url: str | None = _setting(values.http_url, None)
    encryption_key_file: Path | None = _setting(values.secret_file, None)
    password_sign_in: YesOrNo = _setting(values.word(YesOrNo), YesOrNo.YES)
    second_factor_roles: tuple[str, ...] = _setting(sign_in.words, ())
    openid_issuer: str | None = _setting(sign_in.issuer, None)
    openid_client_id: str | None = _setting(sign_in.client_id, None)
    openid_client_secret_file: Path | None = _setting(values.secret_file, None)
    openid_scopes: tuple[str, ...] = _setting(sign_in.scopes, ("openid", "email", "profile"))
    openid_subject_claim: str = _setting(sign_in.claim, "sub")
    openid_email_claim: str = _setting(sign_in.claim, "email")
    openid_name_claim: str = _setting(sign_in.claim, "preferred_username")
    openid_roles_claim: str | None = _setting(sign_in.claim, None)
    openid_roles: tuple[sign_in.Pair, ...] = _setting(sign_in.pairs, ())
    openid_amr: tuple[str, ...] = _setting(sign_in.words, ())
    openid_acr: tuple[str, ...] = _setting(sign_in.words, ())
    openid_second_factor: sign_in.FactorAt = _setting(values.word(sign_in.FactorAt), sign_in.FactorAt.ISSUER)
    key_lifetime_days: int = _setting(values.whole(1, 3_650), 365)
    usage_max_age_seconds: int = _setting(values.whole(2, 3_600), 10)
    worker_batch: int = _setting(values.whole(1, 10_000), 64)
    worker_lease_seconds: int = _setting(values.whole(1, 86_400), 60)
    worker_name: str | None = _setting(values.name, None)
    provider_timeout_seconds: int = _setting(values.whole(1, 600), 10)
    settle_alone_up_to: tuple[CurrencyAmount, ...] = _setting(values.amounts, (CurrencyAmount("CNY", 100_000),))
    log_level: LogLevel = _setting(values.word(LogLevel), LogLevel.INFO)
    log_format: LogFormat = _setting(values.word(LogFormat), LogFormat.CONSOLE)
    access_log: YesOrNo = _setting(values.word(YesOrNo), YesOrNo.YES)
    traces_url: str | None = _setting(values.http_url, None)
    traces_percent: int = _setting(values.whole(1, 100), 100)

    @property
    def erasures_file(self) -> Path:
        """The list of erasures that workers keep outside of the database."""
        return self.home / "erasures.txt"

    @property
    def erasures_keep(self) -> timedelta:
        """How long the id of an erased buyer is recognised."""
        return timedelta(days=self.erasures_keep_days)

    @property
    def complaints_answer_within(self) -> timedelta:
        """How long the platform has to answer a merchant's complaint."""
        return timedelta(days=self.complaints_answer_days)

    @property
    def risk_spans(self) -> tuple[timedelta, timedelta, timedelta]:
        """From when on a label, a coming `ship_by` and an unanswered stop-ship are shipping risks."""
        hours = timedelta(hours=1)
        answer = timedelta(minutes=self.stop_ship_answer_minutes)
        return self.label_late_hours * hours, self.ship_by_near_hours * hours, answer

    @property
    def usage_max_age(self) -> timedelta:
        """The age from which rolled-up usage of a cap counts as unknown."""
        return timedelta(seconds=self.usage_max_age_seconds)

    @property
    def console_url(self) -> str:
        """Where people reach the console, for links that are printed."""
        return self.public_url or f"http://{self.host}:{self.port}"

    @property
    def webhook_lease(self) -> timedelta:
        """How long an event stays with the worker that sends it: longer than any sending takes."""
        return timedelta(seconds=max(self.worker_lease_seconds, 2 * self.webhook_timeout_seconds + 1))

    def encryption_keys(self) -> tuple[str, ...]:
        """The keys for stored secrets, as their file holds them now; the first encrypts, each of them decrypts."""
        return () if self.encryption_key_file is None else tuple(read_secret_file(self.encryption_key_file).split())

    @property
    def embedded_folder(self) -> Path:
        """The folder of the embedded PostgreSQL, which runs when `database_url` is not set."""
        return self.home / "postgres"
