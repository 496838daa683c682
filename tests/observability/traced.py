"""A small run that is traced; prints what came of it as JSON. The tests start it as a process.

The argument is a JSON object: ``endpoint``, ``enabled``, ``hide`` (a module that cannot be
imported), ``spans`` (how many to record), ``within_s`` (longest wait at the end).
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from baqup_agent.contract import LAST_SPANS_S, LogLevel
from baqup_agent.observability.sink import LeveledLog
from baqup_agent.observability.tracing import start_tracing


class Kept(LeveledLog):
    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def log(self, level: LogLevel, message: str, context: Any) -> None:
        self.lines.append({"level": level.word, "message": message, **context})

    def bind(self, component: str) -> Kept:
        return self


def main() -> None:
    wish = json.loads(sys.argv[1])
    if wish.get("hide"):
        sys.modules[wish["hide"]] = None  # type: ignore[assignment]
    log = Kept()
    begun_s = time.monotonic()
    tracing = start_tracing(
        enabled=wish.get("enabled", True),
        endpoint=wish.get("endpoint"),
        trace_parent=wish.get("trace_parent"),
        resource={"service.name": "agent-traced"},
        log=log,
        clean=lambda text: text,
    )
    for _ in range(wish.get("spans", 10)):
        with tracing.span("agent.write_artifact"):
            pass
    worked_s = time.monotonic()
    tracing.close(within_s=wish.get("within_s", LAST_SPANS_S))
    result = {
        "work_s": worked_s - begun_s,
        "close_s": time.monotonic() - worked_s,
        "log": [line for line in log.lines if line["level"] != "debug"],
        "imported": sorted({name.partition(".")[0] for name in sys.modules}),
    }
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
