"""agent-sqlite: copies SQLite databases while they are in use, and brings the copies back.

The module is light, so that ``--info`` answers soon; the work is in modules of its own, which are
imported when a role begins.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from baqup_agent import Agent, __version__
from baqup_agent.agents.sqlite.lifecycle import LIFECYCLE, Steps
from baqup_agent.agents.sqlite.settings import RestoreSettings, SnapshotSettings

if TYPE_CHECKING:
    from baqup_agent import Job

__all__ = ["SqliteAgent", "main"]


class SqliteAgent(Agent):
    """The SQLite agent."""

    name = "agent-sqlite"
    version = __version__
    lifecycle = LIFECYCLE
    settings: ClassVar[type[Any] | Mapping[str, type[Any]] | None] = {
        "snapshot": SnapshotSettings,
        "restore": RestoreSettings,
    }

    def snapshot(self, job: Job[Steps]) -> None:
        """Copy the database, or the directory of databases, ``BAQUP_SOURCE_PATH``."""
        from baqup_agent.agents.sqlite.snapshot import snapshot

        snapshot(job)

    def restore(self, job: Job[Steps]) -> None:
        """Bring the databases in ``BAQUP_SOURCE_PATH`` back to ``BAQUP_TARGET_PATH``."""
        from baqup_agent.agents.sqlite.restore import restore

        restore(job)


def main() -> NoReturn:
    """Run the agent's command line."""
    SqliteAgent.main()
