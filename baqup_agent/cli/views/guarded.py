"""A view that may lose its output: the run then goes on unseen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from baqup_agent.controller.launch import Exit
from baqup_agent.controller.observe import Message
from baqup_agent.controller.output import OutputLine
from baqup_agent.controller.picture import JobPicture
from baqup_agent.controller.request import JobPlan
from baqup_agent.controller.run import JobReport
from baqup_agent.controller.watcher import Watcher


class View(Watcher, Protocol):
    """A watcher that also shows the end."""

    def close(self) -> None:
        """Leave the output as it was found."""

    def report(self, report: JobReport) -> None:
        """Show the verdict."""


class GuardedView:
    """Passes everything on to a view until its output breaks, as a closed pipe does.

    Whether somebody still looks must not decide whether a backup is made.
    """

    def __init__(self, view: View) -> None:
        self._view = view
        self._broken = False

    def started(self, plan: JobPlan, pid: int) -> None:
        """See `Watcher`."""
        self._guard(lambda: self._view.started(plan, pid))

    def message(self, message: Message, picture: JobPicture) -> None:
        """See `Watcher`."""
        self._guard(lambda: self._view.message(message, picture))

    def line(self, line: OutputLine) -> None:
        """See `Watcher`."""
        self._guard(lambda: self._view.line(line))

    def notice(self, text: str) -> None:
        """See `Watcher`."""
        self._guard(lambda: self._view.notice(text))

    def tick(self, picture: JobPicture) -> None:
        """See `Watcher`."""
        self._guard(lambda: self._view.tick(picture))

    def ended(self, exit_: Exit) -> None:
        """See `Watcher`."""
        self._guard(lambda: self._view.ended(exit_))

    def close(self) -> None:
        """See `View`."""
        self._guard(self._view.close)

    def report(self, report: JobReport) -> None:
        """See `View`."""
        self._guard(lambda: self._view.report(report))

    def _guard(self, action: Callable[[], None]) -> None:
        if self._broken:
            return
        try:
            action()
        except OSError:
            self._broken = True
