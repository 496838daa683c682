"""A small controller for one job: starts an agent, watches it, judges what it left behind.

`run_job` does all of it; its parts can be used one by one. Names are loaded when first used, so
that a command which needs one of them does not pay for the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from baqup_agent.lazy import lazy_names

if TYPE_CHECKING:
    from baqup_agent.controller.agents import AgentCommand, resolve_agent
    from baqup_agent.controller.embedded import EmbeddedServer
    from baqup_agent.controller.launch import Exit
    from baqup_agent.controller.observe import Observer
    from baqup_agent.controller.picture import JobPicture
    from baqup_agent.controller.request import JobRequest
    from baqup_agent.controller.run import JobReport, run_job
    from baqup_agent.controller.stop import StopRequests
    from baqup_agent.controller.verdict import Facts, Outcome, Verdict, judge
    from baqup_agent.controller.watcher import SilentWatcher, Watcher

__all__ = [
    "AgentCommand",
    "EmbeddedServer",
    "Exit",
    "Facts",
    "JobPicture",
    "JobReport",
    "JobRequest",
    "Observer",
    "Outcome",
    "SilentWatcher",
    "StopRequests",
    "Verdict",
    "Watcher",
    "judge",
    "resolve_agent",
    "run_job",
]

#: The module that each public name lives in.
_HOMES = {
    "AgentCommand": "agents",
    "EmbeddedServer": "embedded",
    "Exit": "launch",
    "Facts": "verdict",
    "JobPicture": "picture",
    "JobReport": "run",
    "JobRequest": "request",
    "Observer": "observe",
    "Outcome": "verdict",
    "SilentWatcher": "watcher",
    "StopRequests": "stop",
    "Verdict": "verdict",
    "Watcher": "watcher",
    "judge": "verdict",
    "resolve_agent": "agents",
    "run_job": "run",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
