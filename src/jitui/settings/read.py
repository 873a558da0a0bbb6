"""Reads every `JITUI_…` environment variable. Only this module reads the environment."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import Field, fields
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from jitui.errors import NotConfigured
from jitui.settings.model import Settings
from jitui.settings.sign_in import FactorAt
from jitui.settings.values import ExpectedValue, Language, YesOrNo, read_secret_file, secret_file

PREFIX = "JITUI_"
IN_FILE = "_FILE"
VARIABLES_OF_TESTS = frozenset({"JITUI_TEST_DATABASE_URL"})
"""Variables that only the test suite reads; the application ignores them."""


def variable_names() -> tuple[str, ...]:
    """All variables that the application reads, in the order of the fields."""
    return tuple(name for item in fields(Settings) for name in _variables_of(item))


def _variables_of(item: Field[Any]) -> tuple[str, ...]:
    name = PREFIX + item.name.upper()
    return (name, name + IN_FILE) if item.metadata["secret"] else (name,)


def read_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read every setting once; an empty value counts as not set.

    Raises NotConfigured, naming the variable and what was expected, for a bad value, an unknown `JITUI_…`
    name, or settings that do not go together.
    """
    _refuse_unknown(environ)
    values: dict[str, Any] = {"home": _default_home(environ)}
    for item in fields(Settings):
        name, text = _given(item, environ)
        if not text:
            continue
        try:
            values[item.name] = item.metadata["parse"](text)
        except ExpectedValue as expected:
            given = "" if item.metadata["secret"] else f", not {text!r}"
            raise NotConfigured(f"{name} must be {expected}{given}.") from None
    settings = Settings(**values)
    _check_together(settings)
    return settings


def chosen_language(environ: Mapping[str, str] = os.environ) -> Language | None:
    """The language that JITUI_LANGUAGE names; None where it is not set or names none."""
    text = environ.get(PREFIX + "LANGUAGE", "").strip().casefold()
    return next((language for language in Language if language.casefold() == text), None)


def _given(item: Field[Any], environ: Mapping[str, str]) -> tuple[str, str]:
    """The variable that gives this field's value, and its text; empty where none does."""
    found = [(name, text) for name in _variables_of(item) if (text := environ.get(name, "").strip())]
    if len(found) > 1:
        raise NotConfigured(f"{found[0][0]} and {found[1][0]} are both set; keep one of them.")
    name, text = found[0] if found else ("", "")
    if not item.metadata["secret"] or not name.endswith(IN_FILE):
        return name, text
    try:
        return f"What the file of {name} holds", read_secret_file(secret_file(text))
    except ExpectedValue as expected:
        raise NotConfigured(f"{name} must be {expected}, not {text!r}.") from None


def environment_for(settings: Settings, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment for a child process: ours, with the variables set to exactly these settings."""
    environment = {name: value for name, value in environ.items() if not name.startswith(PREFIX)}
    for item in fields(Settings):
        value = getattr(settings, item.name)
        if value is not None:
            environment[PREFIX + item.name.upper()] = _as_text(value)
    return environment


_METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable by which prometheus_client finds the files that processes share; it reads it when it is imported."""


def metrics_folder(environ: Mapping[str, str] = os.environ) -> Path | None:
    """The folder in which processes that serve one port count together; None where there is one process."""
    folder = environ.get(_METRICS_FOLDER)
    return None if not folder else Path(folder)


def share_metrics_in(folder: Path | None) -> None:
    """Processes that are started from now on count together in this folder; None: each for itself."""
    if folder is None:
        os.environ.pop(_METRICS_FOLDER, None)
    else:
        os.environ[_METRICS_FOLDER] = str(folder)


def _as_text(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return value.key if isinstance(value, ZoneInfo) else str(value)


def _refuse_unknown(environ: Mapping[str, str]) -> None:
    known = variable_names()
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name in known or name in VARIABLES_OF_TESTS:
            continue
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "docs/reference/settings.md lists the known ones."
        raise NotConfigured(f"{name} is not a setting of Jitui; {hint}")


def _check_together(settings: Settings) -> None:
    _all_or_none(settings, "alipay", "Alipay", optional="alipay_gateway")
    _all_or_none(settings, "simulator", "the simulator")
    _all_or_none(settings, "stripe", "Stripe", optional="stripe_api_base")
    _all_or_none(settings, "wechat_pay", "WeChat Pay", optional="wechat_pay_api_base")
    _check_sign_in(settings)
    if settings.worker_metrics_port is not None and settings.metrics_token is None:
        raise NotConfigured("JITUI_WORKER_METRICS_PORT needs JITUI_METRICS_TOKEN, which opens what is there.")
    if settings.worker_lease_seconds <= 2 * settings.provider_timeout_seconds:
        raise NotConfigured(
            f"JITUI_WORKER_LEASE_SECONDS ({settings.worker_lease_seconds}) must be longer than twice"
            f" JITUI_PROVIDER_TIMEOUT_SECONDS ({settings.provider_timeout_seconds}),"
            " or a second worker takes a refund while the first still looks it up and sends it."
        )


def _check_sign_in(settings: Settings) -> None:
    """Whether people can sign in, and those who need a second factor can have one."""
    needed = ("openid_issuer", "openid_client_id", "openid_client_secret_file", "public_url")
    missing = [PREFIX + name.upper() for name in needed if getattr(settings, name) is None]
    if missing and any(getattr(settings, name) is not None for name in needed[:3]):
        raise NotConfigured(f"{_listed(missing)} must be set too: OpenID Connect needs all four, see {_OPENID_PAGE}.")
    if (settings.openid_roles_claim is None) != (not settings.openid_roles):
        raise NotConfigured("JITUI_OPENID_ROLES_CLAIM and JITUI_OPENID_ROLES go together: the claim, and its values.")
    if settings.password_sign_in is YesOrNo.NO and settings.openid_issuer is None:
        raise NotConfigured("JITUI_PASSWORD_SIGN_IN can be 'no' only with OpenID Connect, or nobody could sign in.")
    by_issuer = settings.password_sign_in is YesOrNo.NO and settings.openid_second_factor is FactorAt.ISSUER
    if settings.second_factor_roles and settings.encryption_key_file is None and not by_issuer:
        raise NotConfigured("JITUI_SECOND_FACTOR_ROLES needs JITUI_ENCRYPTION_KEY_FILE, or nobody could set one up.")


_OPENID_PAGE = "docs/how-to/sign-in-with-openid-connect.md"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _all_or_none(settings: Settings, group: str, provider: str, *, optional: str = "") -> None:
    """Raise NotConfigured when some of a provider's settings are set and others are missing.

    The setting `optional` may be missing, and may not be set alone.
    """
    given = {item.name: getattr(settings, item.name) for item in fields(Settings) if item.name.startswith(f"{group}_")}
    missing = [PREFIX + name.upper() for name, value in given.items() if value is None and name != optional]
    if missing and any(value is not None for value in given.values()):
        raise NotConfigured(
            f"{_listed(missing)} must be set too: {provider} needs all that docs/reference/settings.md lists."
        )


def _default_home(environ: Mapping[str, str]) -> Path:
    data = environ.get("XDG_DATA_HOME", "")
    if data.startswith("/"):  # the XDG specification says that a relative path is to be ignored
        return Path(data) / "jitui"
    home = environ.get("HOME", "")
    return (Path(home) if home.startswith("/") else Path.home()) / ".local" / "share" / "jitui"
