"""agent-postgres: dumps a PostgreSQL server database by database, and brings dumps back.

The module is light, so that ``--info`` answers soon; the work is in modules of its own, which are
imported when a role begins.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from baqup_agent import Agent, __version__
from baqup_agent.agents.postgres.lifecycle import LIFECYCLE, Steps
from baqup_agent.agents.postgres.settings import RestoreSettings, SnapshotSettings

if TYPE_CHECKING:
    from baqup_agent import Job

__all__ = ["PostgresAgent", "main"]


class PostgresAgent(Agent):
    """The PostgreSQL agent."""

    name = "agent-postgres"
    version = __version__
    lifecycle = LIFECYCLE
    settings: ClassVar[type[Any] | Mapping[str, type[Any]] | None] = {
        "snapshot": SnapshotSettings,
        "restore": RestoreSettings,
    }

    def snapshot(self, job: Job[Steps]) -> None:
        """Dump the databases of the server ``BAQUP_SOURCE_HOST``."""
        from baqup_agent.agents.postgres.snapshot import snapshot

        snapshot(job)

    def restore(self, job: Job[Steps]) -> None:
        """Bring the dumps in ``BAQUP_SOURCE_PATH`` to the server ``BAQUP_TARGET_HOST``."""
        from baqup_agent.agents.postgres.restore import restore

        restore(job)


def main() -> NoReturn:
    """Run the agent's command line."""
    PostgresAgent.main()
