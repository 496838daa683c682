"""Agents that beat wrongly each, and the checks that have to catch them."""

from __future__ import annotations

from tests.conformance.mutants import Mutant

_DUE = 'due = time.monotonic() + self.config["BAQUP_AGENT_HEARTBEAT_INTERVAL"]'
_REGULAR = ("heartbeat/24/every-state", "heartbeat/24/interval", "heartbeat/25/busy-processor")
_ANNOUNCE = (
    '        self.bus.intent = {"operation": "pause", "expected_duration_seconds": 2}\n'
    "        self.bus.wanted.put(self.bus.state)\n"
)
_GROWTH = '        self.done["bytes_processed"] += size\n'

#: A process beside the agent that beats while the agent itself is stopped.
_HELPER = """\
    parent = os.getpid()
    if os.fork() == 0:
        bus.seq = 1_000_000
        while os.getppid() == parent:
            with open(f"/proc/{parent}/stat") as file:
                if " T " in file.read():
                    bus.connect()
                    bus.send(bus.beat("running"))
            time.sleep(0.1)
        os._exit(0)
    bus.start()
"""

HEARTBEAT = (
    Mutant("beats-too-rarely", ("heartbeat/24/interval",), _DUE, _DUE + " * 2", beside=_REGULAR),
    Mutant("beats-too-often", ("heartbeat/24/interval",), _DUE, _DUE + " / 5", beside=_REGULAR),
    Mutant(
        "beats-in-running-alone",
        ("heartbeat/24/every-state",),
        "state or time.monotonic() >= due:",
        'state or (time.monotonic() >= due and self.state == "running"):',
        beside=("lifecycle/13/completing-too-long", "signals/17/term-in-completing"),
    ),
    Mutant(
        "beats-kept-for-a-day",
        ("heartbeat/24/form",),
        '"30" if kind == "heartbeat" else "86400"',
        '"86400"',
    ),
    Mutant(
        "beats-never-announced",
        ("heartbeat/24/form",),
        'self.prefix + "notify", json.dumps(message)',
        'self.prefix + "elsewhere", json.dumps(message)',
    ),
    Mutant(
        "work-starves-the-beat",
        ("heartbeat/25/busy-processor",),
        "        until, number = time.monotonic() + seconds, 1\n",
        "        until, number = time.monotonic() + seconds, 1\n"
        "        sys.setswitchinterval(60)\n",
    ),
    Mutant(
        "intent-too-late",
        ("heartbeat/26/intent",),
        _ANNOUNCE,
        '        late = {"operation": "pause", "expected_duration_seconds": 2}\n'
        '        threading.Timer(2.7, setattr, (self.bus, "intent", late)).start()\n',
    ),
    Mutant("intent-for-ever", ("heartbeat/26/intent",), "        self.bus.intent = None\n", ""),
    Mutant(
        "progress-untimed",
        ("heartbeat/27/moving-work",),
        "        self.bus.progressed = now()\n",
        "",
        beside=("heartbeat/27/stuck-work",),
    ),
    Mutant(
        "beat-takes-itself-for-progress",
        ("heartbeat/27/stuck-work",),
        '"last_progress_at": self.progressed}',
        '"last_progress_at": now()}',
    ),
    Mutant(
        "helper-beats-for-a-stopped-agent",
        ("heartbeat/27/suspended",),
        "    bus.start()\n",
        _HELPER,
        beside=("lifecycle/9/order-of-states", "lifecycle/10/sequence-and-time"),
    ),
    Mutant(
        "progress-falls",
        ("heartbeat/28/progress",),
        _GROWTH,
        '        self.done["bytes_processed"] = -int(time.monotonic() * 50) % 10**9\n',
    ),
    Mutant(
        "progress-not-in-the-status",
        ("heartbeat/28/progress",),
        'metrics={"duration_seconds": 0.0, **self.done}',
        'metrics={"duration_seconds": 0.0}',
    ),
)
