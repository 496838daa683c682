"""An agent's reporting side in a process of its own, to be killed: see `test_bus_chaos`.

Arguments: the URL of the bus, the fallback directory, this attempt's number, and how many events
to publish. Tells on stdout, in a line for each event, that it is about to publish it and that
this is done; ends when the bus has taken everything.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from baqup_agent.bus.client import BusClient
from baqup_agent.config.settings import BusSettings
from baqup_agent.observability.sink import NullLog
from baqup_agent.security.secret import Secret

JOB = "c3a1d1f2-9a6b-4c3e-8f57-0d6a2e9b7c11"


def main(url: str, fallback: str, attempt: str, most: str) -> None:
    settings = BusSettings(
        url=Secret(url), fallback_dir=Path(fallback), reconnect_backoff="constant"
    )
    bus = BusClient(settings, NullLog(), job_id=JOB, agent_id=f"agent-chaos-{attempt}")
    bus.start()
    for number in range(int(most)):
        name = f"{attempt}:{number}"
        os.write(1, b"+%d\n" % number)
        bus.event("TOLD", severity="info", message=name)
        os.write(1, b"=%d\n" % number)
    while not bus.flush(60):
        pass
    bus.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
