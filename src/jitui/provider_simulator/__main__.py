"""`python -m jitui.provider_simulator`: runs the simulator alone, with its settings as a JSON object on stdin.

It prints its address when it can be reached.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from jitui.errors import JituiError
from jitui.provider_simulator.faults import FaultTiming, parse_faults
from jitui.provider_simulator.server import run
from jitui.provider_simulator.settings import SimulatorSettings


class Start(msgspec.Struct, forbid_unknown_fields=True):
    books: str
    api_key: str
    host: str = "127.0.0.1"
    port: int = 0
    webhook_url: str | None = None
    webhook_secret: str | None = None
    latency_ms: float = 0.0
    latency_jitter_ms: float = 0.0
    rate_limit_per_second: float | None = None
    key_life_seconds: float | None = 86_400.0
    webhook_retry_seconds: float = 0.5
    faults: str = "off"
    timing: FaultTiming = msgspec.field(default_factory=FaultTiming)


def main() -> int:
    try:
        start = msgspec.json.decode(sys.stdin.buffer.read(), type=Start)
        run(
            books_path=Path(start.books),
            settings=SimulatorSettings(
                api_key=start.api_key,
                webhook_url=start.webhook_url,
                webhook_secret=start.webhook_secret,
                latency_ms=start.latency_ms,
                latency_jitter_ms=start.latency_jitter_ms,
                rate_limit_per_second=start.rate_limit_per_second,
                key_life_seconds=start.key_life_seconds,
                webhook_retry_seconds=start.webhook_retry_seconds,
                faults=parse_faults(start.faults, start.timing),
            ),
            host=start.host,
            port=start.port,
            on_ready=lambda url: print(url, flush=True),
        )
    except msgspec.MsgspecError as error:
        print(f"settings: {error}", file=sys.stderr)
        return 2
    except JituiError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
