"""Fault simulation: the real service and PostgreSQL, with a clock, network, provider and processes driven by a seed.

A *world* is one simulated run: everything that one seed produces.
"""

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
