"""Counts what was done and tells the controller a few times a second."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from baqup_agent.agents.fs.outlook import Outlook
from baqup_agent.security.member import printable

if TYPE_CHECKING:
    from baqup_agent import Job
    from baqup_agent.agents.fs.leaves import Leaves

#: Shortest time between two reports, seconds.
SHOW_EVERY_S = 0.1

#: Seconds that are spent on counting ahead at each report: between small files, where counting
#: takes nearly as long as archiving, and in large ones, where this thread mostly waits.
_LOOK_S, _LOOK_IN_LARGE_S = 0.001, 0.01

#: Bytes of a piece from which on its file is large to the meter.
_LARGE_BYTES = 1 << 18


class Meter:
    """The counts of one snapshot.

    Args:
        job: the job whose progress it is.
        outlook: knows, or comes to know, how much there is to do.

    Attributes:
        files: what was archived so far, directories not counted.
        bytes: content read so far.
    """

    def __init__(self, job: Job[Leaves], outlook: Outlook) -> None:
        self.files = 0
        self.bytes = 0
        self._job = job
        self._outlook = outlook
        self._shown_s = 0.0
        self._name = b""
        outlook.begin()

    def at(self, name: bytes) -> None:
        """Note what is being archived, and that time has passed.

        Raises:
            JobCancelled: the job must stop.
        """
        self._name = name
        self._job.cancellation.check()
        self._show(_LOOK_S)

    def read(self, count: int) -> None:
        """Count bytes of the file that is being archived.

        Raises:
            JobCancelled: the job must stop.
        """
        self.bytes += count
        if count >= _LARGE_BYTES:
            self._job.cancellation.check()
            self._show(_LOOK_IN_LARGE_S)

    def finish(self) -> None:
        """Tell the whole."""
        self._job.progress(
            percent_complete=100, bytes_processed=self.bytes, files_processed=self.files
        )

    def _show(self, look_s: float) -> None:
        now_s = time.monotonic()
        if now_s - self._shown_s < SHOW_EVERY_S:
            return
        self._shown_s = now_s
        self._outlook.look(look_s)
        share = self._outlook.share(self.files, self.bytes)
        remaining_s = self._outlook.remaining_s(share)
        self._job.progress(
            percent_complete=None if share is None else round(share * 100, 1),
            bytes_processed=self.bytes,
            files_processed=self.files,
            current_file=printable(self._name) or ".",
            estimated_remaining_seconds=None if remaining_s is None else round(remaining_s, 1),
        )
