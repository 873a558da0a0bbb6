from tests.http.conftest import api
from tests.provider_simulator.server import simulator, start_simulator

__all__ = ["api", "simulator", "start_simulator"]
