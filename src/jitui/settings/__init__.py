"""Every `JITUI_…` environment variable, with its type and default; `read` alone reads the environment."""

from jitui.settings.model import Settings
from jitui.settings.read import (
    VARIABLES_OF_TESTS,
    chosen_language,
    environment_for,
    metrics_folder,
    read_settings,
    share_metrics_in,
    variable_names,
)
from jitui.settings.values import (
    CurrencyAmount,
    Language,
    LogFormat,
    LogLevel,
    Network,
    YesOrNo,
    read_secret_file,
    why_no_secret,
)

__all__ = [
    "VARIABLES_OF_TESTS",
    "CurrencyAmount",
    "Language",
    "LogFormat",
    "LogLevel",
    "Network",
    "Settings",
    "YesOrNo",
    "chosen_language",
    "environment_for",
    "metrics_folder",
    "read_secret_file",
    "read_settings",
    "share_metrics_in",
    "variable_names",
    "why_no_secret",
]
