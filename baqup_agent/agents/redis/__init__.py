"""agent-redis: takes the whole content of a Redis or Valkey server as RDB, and lays it down again.

The module is light, so that ``--info`` answers soon; the work is in modules of its own, which are
imported when a role begins.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from baqup_agent import Agent, __version__
from baqup_agent.agents.redis.lifecycle import LIFECYCLE, Steps
from baqup_agent.agents.redis.settings import RestoreSettings, SnapshotSettings

if TYPE_CHECKING:
    from baqup_agent import Job

__all__ = ["RedisAgent", "main"]


class RedisAgent(Agent):
    """The Redis agent."""

    name = "agent-redis"
    version = __version__
    lifecycle = LIFECYCLE
    settings: ClassVar[type[Any] | Mapping[str, type[Any]] | None] = {
        "snapshot": SnapshotSettings,
        "restore": RestoreSettings,
    }

    def snapshot(self, job: Job[Steps]) -> None:
        """Take the content of the server ``BAQUP_SOURCE_HOST``."""
        from baqup_agent.agents.redis.snapshot import snapshot

        snapshot(job)

    def restore(self, job: Job[Steps]) -> None:
        """Lay the RDB in ``BAQUP_SOURCE_PATH`` down at ``BAQUP_TARGET_PATH``."""
        from baqup_agent.agents.redis.restore import restore

        restore(job)


def main() -> NoReturn:
    """Run the agent's command line."""
    RedisAgent.main()
