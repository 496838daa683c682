"""What a run tells while it lasts, to whoever shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from baqup_agent.controller.launch import Exit
    from baqup_agent.controller.observe import Message
    from baqup_agent.controller.output import OutputLine
    from baqup_agent.controller.picture import JobPicture
    from baqup_agent.controller.request import JobPlan


class Watcher(Protocol):
    """Is called from one thread, the one that runs the job; must return quickly."""

    def started(self, plan: JobPlan, pid: int) -> None:
        """The agent's process exists."""

    def message(self, message: Message, picture: JobPicture) -> None:
        """A message was seen on the bus; the picture holds it already."""

    def line(self, line: OutputLine) -> None:
        """The agent wrote a line."""

    def notice(self, text: str) -> None:
        """The controller has something to say."""

    def tick(self, picture: JobPicture) -> None:
        """Some time has passed."""

    def ended(self, exit_: Exit) -> None:
        """The agent's process is gone; what it published is being verified."""


class SilentWatcher:
    """Shows nothing."""

    def started(self, plan: JobPlan, pid: int) -> None:
        """Take no notice."""

    def message(self, message: Message, picture: JobPicture) -> None:
        """Take no notice."""

    def line(self, line: OutputLine) -> None:
        """Take no notice."""

    def notice(self, text: str) -> None:
        """Take no notice."""

    def tick(self, picture: JobPicture) -> None:
        """Take no notice."""

    def ended(self, exit_: Exit) -> None:
        """Take no notice."""
