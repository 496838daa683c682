"""agent-fs: backs a directory up to ``data.tar`` and restores it to an identical tree.

The module is light, so that ``--info`` answers at once; the work is in modules of its own, which
are imported when a role begins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, NoReturn

from baqup_agent import Agent, __version__

if TYPE_CHECKING:
    from baqup_agent import Job

__all__ = ["FsAgent", "main"]


class FsAgent(Agent):
    """The filesystem agent."""

    name = "agent-fs"
    version = __version__
    requires: ClassVar[Mapping[str, Sequence[str]]] = {
        "snapshot": ("BAQUP_SOURCE_PATH",),
        "restore": ("BAQUP_SOURCE_PATH", "BAQUP_TARGET_PATH"),
    }

    def snapshot(self, job: Job) -> None:
        """Archive the directory ``BAQUP_SOURCE_PATH``."""
        from baqup_agent.agents.fs.snapshot import snapshot

        snapshot(job)

    def restore(self, job: Job) -> None:
        """Bring the published directory ``BAQUP_SOURCE_PATH`` back to ``BAQUP_TARGET_PATH``."""
        from baqup_agent.agents.fs.restore import restore

        restore(job)


def main() -> NoReturn:
    """Run the agent's command line."""
    FsAgent.main()
