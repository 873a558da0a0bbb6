"""Worlds of faults: the real service and a real PostgreSQL under a clock, network, provider and processes by seed."""

from jitui.demo.simulation.run import (
    Failure,
    SimulationOptions,
    SimulationReport,
    Stage,
    open_stage,
    replay_command,
    run_seeds,
)

__all__ = ["Failure", "SimulationOptions", "SimulationReport", "Stage", "open_stage", "replay_command", "run_seeds"]
