from tests.provider_simulator.server import simulator, start_simulator

__all__ = ["simulator", "start_simulator"]
