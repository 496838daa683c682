"""What a snapshot left out, or may hold inconsistently: told, counted, and in the manifest.

A controller hears of each kind of trouble by an event; who holds the backup later has the manifest
alone, so the same stands there, with a few names of each kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from baqup_agent.agents.fs.notes import notes_of
from baqup_agent.errors import IOFailure
from baqup_agent.security.member import printable

if TYPE_CHECKING:
    from baqup_agent import Job
    from baqup_agent.agents.fs.leaves import Leaves

#: Names that the manifest lists of each kind of trouble.
SAMPLE_PATHS = 10

#: The code of a file or directory to which access was refused.
REFUSED = "PERMISSION_DENIED"


class Incidents:
    """Takes the notes of a walk.

    Args:
        job: is told of each by an event.
        unreadable: what a refused file means: ``warn``, ``partial`` or ``fail``.
    """

    def __init__(self, job: Job[Leaves], unreadable: str) -> None:
        self._note = notes_of(job)
        self._unreadable = unreadable
        self._counts: dict[str, int] = {}
        self._paths: dict[str, list[str]] = {}

    def __call__(self, code: str, name: bytes, message: str) -> None:
        """Take a note.

        Raises:
            IOFailure: access was refused, and the policy is ``fail``.
            JobCancelled: the job must stop.
        """
        self._note(code, name, message)
        self._counts[code] = self._counts.get(code, 0) + 1
        paths = self._paths.setdefault(code, [])
        if len(paths) < SAMPLE_PATHS:
            paths.append(printable(name) or ".")
        if code == REFUSED and self._unreadable == "fail":
            raise _refusal(f"access to {paths[-1]!r} of the source was refused")

    def to_wire(self) -> dict[str, dict[str, Any]]:
        """Return what the manifest lists: by code, how often it happened and to what."""
        return {
            code: {"count": count, "sample_paths": self._paths[code]}
            for code, count in sorted(self._counts.items())
        }

    def require_readable(self) -> None:
        """Fail if access to something was refused.

        Raises:
            IOFailure: it was; the message tells how often, and names the first.
        """
        if REFUSED in self._counts:
            count, first = self._counts[REFUSED], self._paths[REFUSED][0]
            raise _refusal(
                f"{count} files or directories of the source are missing, {first!r} first"
            )


def _refusal(what: str) -> IOFailure:
    return IOFailure(
        f"{what}; let the agent's user read it, exclude it, or set BAQUP_SOURCE_UNREADABLE=warn",
        code=REFUSED,
        retriable=False,
    )
