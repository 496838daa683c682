"""For machines: every message that was seen, and at last the verdict, one JSON object a line."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from baqup_agent.cli.text import printable
from baqup_agent.cli.views.agent_lines import shown
from baqup_agent.cli.views.plain import write
from baqup_agent.controller.launch import Exit
from baqup_agent.controller.observe import Message
from baqup_agent.controller.output import OutputLine
from baqup_agent.controller.picture import JobPicture
from baqup_agent.controller.request import JobPlan
from baqup_agent.controller.run import JobReport


class JsonView:
    """Writes messages to stdout as they were seen; everything meant for people goes to stderr.

    Args:
        verbose: show all of the agent's log, not only warnings and errors.
    """

    def __init__(self, *, verbose: bool = False) -> None:
        self._verbose = verbose

    def started(self, plan: JobPlan, pid: int) -> None:
        """Nothing: the first message says enough."""

    def message(self, message: Message, picture: JobPicture) -> None:  # noqa: ARG002
        """Write the message."""
        write_json(message)

    def line(self, line: OutputLine) -> None:
        """Hand on a line of the agent."""
        if (text := shown(line, verbose=self._verbose)) is not None:
            write(sys.stderr, text.text)

    def notice(self, text: str) -> None:
        """Say what the controller has to say."""
        write(sys.stderr, f"note: {printable(text)}")

    def tick(self, picture: JobPicture) -> None:
        """Nothing changes by the clock alone."""

    def ended(self, exit_: Exit) -> None:
        """Nothing: the verdict says it."""

    def close(self) -> None:
        """Nothing to tidy up."""

    def report(self, report: JobReport) -> None:
        """Write the verdict."""
        write_json(verdict_record(report))


def write_json(record: Mapping[str, Any]) -> None:
    """Write one object on one line of stdout.

    ASCII alone: a lone surrogate in a foreign message must not end the run.
    """
    write(sys.stdout, json.dumps(record, separators=(",", ":"), default=str))


def verdict_record(report: JobReport) -> dict[str, Any]:
    """Return the last object of ``--json``."""
    found = report.verification
    manifest = found.manifest.to_wire() if found and found.manifest else None
    status = report.status or {}
    return {
        "type": "verdict",
        "verdict": str(report.verdict.outcome),
        "reasons": list(report.verdict.reasons),
        "job_id": report.plan.job_id,
        "agent": report.plan.agent.label,
        "role": report.plan.role,
        "exit_code": report.exit.code,
        "signal": report.exit.signal,
        "controller_exit_code": report.verdict.exit_code,
        "status": status.get("status"),
        "orphan": report.orphan,
        "directory": str(report.plan.directory),
        "manifest": manifest is not None,
        "verified": bool(found and found.ok),
        "artifacts": manifest["artifacts"] if manifest else [],
        "problems": list(found.problems) if found else [],
        "warnings": report.picture.warnings,
        "error": status.get("error"),
        "last_words": report.last_words,
        "duration_seconds": round(report.duration_s, 3),
        "notes": list(report.notes),
    }
