"""Plain lines, for logs and pipes: one when something changes, and progress now and then."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from baqup_agent.cli.text import duration, printable
from baqup_agent.cli.views.agent_lines import shown
from baqup_agent.cli.views.phrases import ended, event_line, intent_line, progress_line, state_word
from baqup_agent.cli.views.summary import summary_lines
from baqup_agent.controller.launch import Exit
from baqup_agent.controller.observe import Message
from baqup_agent.controller.output import OutputLine
from baqup_agent.controller.picture import JobPicture
from baqup_agent.controller.request import JobPlan
from baqup_agent.controller.run import JobReport

#: Seconds between two lines of progress.
PROGRESS_EVERY_S = 5.0


class PlainView:
    """Writes what happens to stdout, and the agent's own lines to stderr.

    Args:
        verbose: show all of the agent's log, not only warnings and errors.
    """

    def __init__(self, *, verbose: bool = False) -> None:
        self._verbose = verbose
        self._began = time.monotonic()
        self._last_progress = self._began
        self._state = ""
        self._intent = ""
        self._codes: set[str] = set()

    def started(self, plan: JobPlan, pid: int) -> None:
        """Say what is run."""
        self._began = self._last_progress = time.monotonic()
        label, role = printable(plan.agent.label), printable(plan.role)
        write(sys.stdout, f"{label} {role}: job {plan.job_id}, process {pid}")

    def message(self, message: Message, picture: JobPicture) -> None:
        """Say what changed: the state, the intent, an event code's first occurrence."""
        kind = message["type"]
        if kind == "heartbeat":
            self._heartbeat(picture)
        elif kind == "progress":
            self._progress(picture)
        elif kind == "event":
            self._event(message, picture)

    def line(self, line: OutputLine) -> None:
        """Hand on a line of the agent."""
        if (text := shown(line, verbose=self._verbose)) is not None:
            write(sys.stderr, text.text)

    def notice(self, text: str) -> None:
        """Say what the controller has to say."""
        self._say(f"note: {printable(text)}")

    def tick(self, picture: JobPicture) -> None:
        """Nothing changes by the clock alone."""

    def ended(self, exit_: Exit) -> None:
        """Say how the agent ended."""
        self._say(f"{ended(exit_)}; verifying")

    def close(self) -> None:
        """Nothing to tidy up."""

    def report(self, report: JobReport) -> None:
        """Write the summary."""
        for label, text, _ in summary_lines(report):
            write(sys.stdout, f"  {label:<10} {text}" if label else text)

    def _heartbeat(self, picture: JobPicture) -> None:
        state, intent = state_word(picture), intent_line(picture)
        if state != self._state:
            self._state = state
            self._say(state)
        if intent != self._intent:
            self._intent = intent
            if intent:
                self._say(f"intent: {intent}")

    def _progress(self, picture: JobPicture) -> None:
        now = time.monotonic()
        if now - self._last_progress >= PROGRESS_EVERY_S:
            self._last_progress = now
            self._say(f"progress: {progress_line(picture)}")

    def _event(self, message: Message, picture: JobPicture) -> None:
        code = message.get("code")
        if isinstance(code, str) and code not in self._codes:
            self._codes.add(code)
            self._say(event_line(picture.events[code]))

    def _say(self, text: str) -> None:
        write(sys.stdout, f"{duration(time.monotonic() - self._began):>12}  {text}")


def write(stream: TextIO, text: str) -> None:
    """Write one line at once, so that a reader of the pipe sees it when it happens."""
    stream.write(f"{text}\n")
    stream.flush()
