"""Replays a history of real orders through the service; the time is an argument."""

from __future__ import annotations

from jitui.demo.replay.assumptions import ReplayAssumptions
from jitui.demo.replay.driver import Progress
from jitui.demo.replay.environment import ReplayEnvironment, open_environment
from jitui.demo.replay.report import ReplayReport
from jitui.demo.replay.run import replay_history

__all__ = ["Progress", "ReplayAssumptions", "ReplayEnvironment", "ReplayReport", "open_environment", "replay_history"]
