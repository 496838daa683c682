"""Runs the stand-in agent as a real child process."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import define, field

from baqup_agent.controller import JobReport, JobRequest, run_job
from baqup_agent.controller.agents import AgentCommand
from baqup_agent.controller.launch import Exit
from baqup_agent.controller.observe import Message
from baqup_agent.controller.output import OutputLine
from baqup_agent.controller.picture import JobPicture
from baqup_agent.controller.request import JobPlan

HERE = Path(__file__).resolve().parent
STAND_IN = HERE / "stand_in.py"
SHELL_AGENT = HERE / "agent.sh"
JOB_ID = "3f2c8a4e-9d1b-4c77-8f0e-2b6a51d0c9e4"

#: What the runs in tests inherit: enough to find a shell and its tools.
OUTER = {"PATH": os.environ.get("PATH", "/usr/bin:/bin")}


@define
class Recorder:
    """A watcher that remembers everything, and can react to a message."""

    on_message: Callable[[Message], None] | None = None
    messages: list[Message] = field(factory=list)
    lines: list[OutputLine] = field(factory=list)
    notices: list[str] = field(factory=list)
    pids: list[int] = field(factory=list)
    exits: list[Exit] = field(factory=list)
    ticks: int = 0

    def started(self, plan: JobPlan, pid: int) -> None:
        self.pids.append(pid)

    def message(self, message: Message, picture: JobPicture) -> None:
        self.messages.append(message)
        if self.on_message is not None:
            self.on_message(message)

    def line(self, line: OutputLine) -> None:
        self.lines.append(line)

    def notice(self, text: str) -> None:
        self.notices.append(text)

    def tick(self, picture: JobPicture) -> None:
        self.ticks += 1

    def ended(self, exit_: Exit) -> None:
        self.exits.append(exit_)


def request_for(behaviour: str, staging: Path, **changes: Any) -> JobRequest:
    """Return the request for a snapshot by the stand-in agent."""
    variables = {"BEHAVIOUR": behaviour, **changes.pop("variables", {})}
    agent = AgentCommand("stand-in", (sys.executable, str(STAND_IN)))
    members = {"role": "snapshot", "staging": staging, "job_id": JOB_ID, **changes}
    return JobRequest(agent=agent, variables=variables, **members)


def run(behaviour: str, staging: Path, watcher: Recorder | None = None, **more: Any) -> JobReport:
    """Run the stand-in agent to its end."""
    stop = more.pop("stop", None)
    request = request_for(behaviour, staging, **more)
    return run_job(request, watcher=watcher, stop=stop, inherited=OUTER)


def until(condition: Callable[[], object], what: str, seconds: float = 20) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain for {what}"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Tell whether a process runs, zombies aside."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"
