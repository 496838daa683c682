"""agent-fs: backs a directory up to ``data.tar`` and restores it to an identical tree.

The module is light, so that ``--info`` answers at once; the work is in modules of its own, which
are imported when a role begins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from baqup_agent import Agent, __version__
from baqup_agent.agents.fs.target import TARGET_VARIABLES
from baqup_agent.agents.fs.variables import VARIABLES

if TYPE_CHECKING:
    from baqup_agent import Job, Lifecycle
    from baqup_agent.agents.fs.leaves import Leaves

__all__ = ["FsAgent", "main"]

#: The leaves of ``running``; `baqup_agent.agents.fs.leaves` declares them.
LEAVES = ("scanning", "archiving", "sealing", "restoring")


class FsAgent(Agent):
    """The filesystem agent."""

    name = "agent-fs"
    version = __version__
    variables = (*VARIABLES, *TARGET_VARIABLES)
    requires: ClassVar[Mapping[str, Sequence[str]]] = {
        "snapshot": ("BAQUP_SOURCE_PATH",),
        "restore": ("BAQUP_SOURCE_PATH", "BAQUP_TARGET_PATH"),
    }

    @classmethod
    def declared_lifecycle(cls) -> Lifecycle:
        """The contract's with leaves in ``running``; imported only where a job runs or is drawn."""
        from baqup_agent.agents.fs.leaves import LIFECYCLE

        return LIFECYCLE

    @classmethod
    def _leaves(cls) -> dict[str, list[str]]:
        # Written out, because declaring and proving them takes longer than all the rest of --info.
        return {**super()._leaves(), "running": list(LEAVES)}

    def snapshot(self, job: Job[Leaves]) -> None:
        """Archive the directory ``BAQUP_SOURCE_PATH``."""
        from baqup_agent.agents.fs.snapshot import snapshot

        snapshot(job)

    def restore(self, job: Job[Any]) -> None:
        """Bring the published directory ``BAQUP_SOURCE_PATH`` back to ``BAQUP_TARGET_PATH``."""
        from baqup_agent.agents.fs.restore import restore

        job.lifecycle.recognised()
        restore(job)


def main() -> NoReturn:
    """Run the agent's command line."""
    FsAgent.main()
