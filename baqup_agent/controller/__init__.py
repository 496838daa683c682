"""A small controller: reads the bus, judges who is alive, runs one job and judges what it left.

`BusReader` gives what agents say, `Liveness` and `Fleet` tell who is alive; `run_job` does all that
one job needs. Each can be used by itself. Names are loaded when first used, so that a command which
needs one of them does not pay for the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from baqup_agent.lazy import lazy_names

if TYPE_CHECKING:
    from baqup_agent.controller.agents import AgentCommand, resolve_agent
    from baqup_agent.controller.embedded import EmbeddedServer
    from baqup_agent.controller.fleet import AgentPicture, Fleet
    from baqup_agent.controller.launch import Exit
    from baqup_agent.controller.liveness import Action, Life, LifeVerdict, Liveness, Patience
    from baqup_agent.controller.messages import BusMessage, Event, Heartbeat, Progress, Status
    from baqup_agent.controller.picture import JobPicture
    from baqup_agent.controller.reader import BusReader
    from baqup_agent.controller.request import JobRequest
    from baqup_agent.controller.run import JobReport, run_job
    from baqup_agent.controller.stop import StopRequests
    from baqup_agent.controller.verdict import Facts, Outcome, Verdict, judge
    from baqup_agent.controller.watcher import SilentWatcher, Watcher

__all__ = [
    "Action",
    "AgentCommand",
    "AgentPicture",
    "BusMessage",
    "BusReader",
    "EmbeddedServer",
    "Event",
    "Exit",
    "Facts",
    "Fleet",
    "Heartbeat",
    "JobPicture",
    "JobReport",
    "JobRequest",
    "Life",
    "LifeVerdict",
    "Liveness",
    "Outcome",
    "Patience",
    "Progress",
    "SilentWatcher",
    "Status",
    "StopRequests",
    "Verdict",
    "Watcher",
    "judge",
    "resolve_agent",
    "run_job",
]

#: The module that each public name lives in.
_HOMES = {
    "Action": "liveness",
    "AgentCommand": "agents",
    "AgentPicture": "fleet",
    "BusMessage": "messages",
    "BusReader": "reader",
    "EmbeddedServer": "embedded",
    "Event": "messages",
    "Exit": "launch",
    "Facts": "verdict",
    "Fleet": "fleet",
    "Heartbeat": "messages",
    "JobPicture": "picture",
    "JobReport": "run",
    "JobRequest": "request",
    "Life": "liveness",
    "LifeVerdict": "liveness",
    "Liveness": "liveness",
    "Outcome": "verdict",
    "Patience": "liveness",
    "Progress": "messages",
    "SilentWatcher": "watcher",
    "Status": "messages",
    "StopRequests": "stop",
    "Verdict": "verdict",
    "Watcher": "watcher",
    "judge": "verdict",
    "resolve_agent": "agents",
    "run_job": "run",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
