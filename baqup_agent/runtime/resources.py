"""Keeps an eye on the memory that a job takes, and counts its processors (Contract §7).

Two limits are watched. `BAQUP_AGENT_MEMORY_LIMIT` bounds what the agent's own process holds; `auto`
and 0 set no such bound. The control group, where it has a limit, bounds the agent and its children
together, whatever the variable says: the kernel enforces it, by SIGKILL. A job that comes close is
told of in an event; one that is over its limit is aborted with exit code 65. Of the group's limit
the last twentieth is left unused, since a process that the kernel has killed reports nothing; where
there is swap the kernel does not kill, and the limit is used to the end.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from attrs import define, field, frozen

from baqup_agent.config.settings import AgentSettings
from baqup_agent.config.units import size_bytes
from baqup_agent.errors import LimitExceeded, describe
from baqup_agent.observability.sink import LogSink
from baqup_agent.runtime.context import RunContext
from baqup_agent.runtime.inbox import WorkEnded
from baqup_agent.runtime.needs import need
from baqup_agent.security.limits import (
    PROC_SELF,
    MemoryGroup,
    available_cpus,
    memory_group,
    process_memory_bytes,
)

#: Part of a limit from which on it counts as close, and the part below which no longer.
_NEAR, _FAR = 0.80, 0.75

#: Part of a control group's limit from which on the job is aborted before the kernel kills it.
_BEFORE_THE_KILL = 0.95

#: Threads of a compressor where none were asked for: with more than these the reader and the
#: writer, which are one thread each, set the pace, and each takes memory.
_WORKERS = 4

_AUTO = "auto"
_MIB = 1 << 20


@frozen
class MemoryLimit:
    """A limit and what is held against it.

    Attributes:
        name: what sets it, in words for people.
        limit_bytes: what may be taken.
        abort_bytes: more than this ends the job.
        used_bytes: returns what is taken.
        remedy: what to do about it.
    """

    name: str
    limit_bytes: int
    abort_bytes: int
    used_bytes: Callable[[], int]
    remedy: str


@define
class MemoryWatch:
    """Compares what is taken with the limits, whenever `check` is called.

    Attributes:
        limits: what to hold against each other.
        tell: takes an event's code and its message.
        exceed: takes the error that the job is to end with; called once at most.
        log: told of a limit that cannot be watched any more.
    """

    limits: Sequence[MemoryLimit]
    tell: Callable[[str, str], None]
    exceed: Callable[[LimitExceeded], None]
    log: LogSink
    _near: set[str] = field(factory=set, init=False)
    _over: bool = field(default=False, init=False)

    def check(self) -> None:
        """Look once; meant to be called about once a second, from one thread."""
        for limit in tuple(self.limits):
            if self._over:
                return
            try:
                used = limit.used_bytes()
            except (OSError, ValueError) as error:
                self.limits = [other for other in self.limits if other is not limit]
                self.log.warn(f"{limit.name} is not watched any more", reason=describe(error))
                continue
            self._compare(limit, used)

    def _compare(self, limit: MemoryLimit, used: int) -> None:
        if used > limit.abort_bytes:
            self._over = True
            error = LimitExceeded(_sentence(limit, used, "over"), suggestions=(limit.remedy,))
            self.tell(error.code, error.message)
            self.exceed(error)
        elif used >= limit.limit_bytes * _NEAR:
            if limit.name not in self._near:
                self._near.add(limit.name)
                self.tell("RESOURCE_LIMIT_APPROACHING", _sentence(limit, used, "close to"))
        elif used < limit.limit_bytes * _FAR:
            self._near.discard(limit.name)  # a new approach will be told of


def watch_resources(run: RunContext) -> None:
    """Have the job's memory watched from now on; an effect of ``initializing``, behind the bus."""
    settings, events = need(run.settings, "settings"), need(run.events, "events")
    watch = MemoryWatch(
        memory_limits(settings.agent),
        tell=lambda code, message: events.add(code, message=message),
        # To the driver it is as if the work itself had ended so.
        exceed=lambda error: run.inbox.put(WorkEnded(error)),
        log=run.log,
    )
    for limit in watch.limits:
        run.log.debug("memory limit", limit=limit.name, limit_bytes=limit.limit_bytes)
    need(run.bus, "bus").on_tick(watch.check)


def memory_limits(settings: AgentSettings, proc: Path = PROC_SELF) -> list[MemoryLimit]:
    """Return the limits that hold for this process.

    Args:
        settings: the job's.
        proc: the kernel's description of the process.
    """
    return [*_own_limit(settings, proc), *_group_limit(memory_group(proc))]


def parallelism(settings: AgentSettings, proc: Path = PROC_SELF) -> int:
    """Return how many workers the job should have: as configured, or what the machine gives.

    Args:
        settings: the job's.
        proc: the kernel's description of the process.
    """
    return settings.parallelism or available_cpus(proc)


def compression_workers(settings: AgentSettings, proc: Path = PROC_SELF) -> int:
    """Return how many threads a compressor should have for itself; 0 on a single processor.

    Args:
        settings: the job's.
        proc: the kernel's description of the process.
    """
    cpus = available_cpus(proc)
    workers = min(cpus, settings.parallelism or _WORKERS)
    return workers if workers > 1 else 0


def warn_of_root(log: LogSink, uid: int | None = None) -> None:
    """Say so if the agent runs with all privileges (Contract §7).

    Args:
        log: takes the warning.
        uid: the user; by default the one this process acts as.
    """
    if (os.geteuid() if uid is None else uid) == 0:
        log.warn("the agent runs as root; run it as an unprivileged user, uid 1000 or above", uid=0)


def _own_limit(settings: AgentSettings, proc: Path) -> Iterator[MemoryLimit]:
    limit = 0 if settings.memory_limit == _AUTO else size_bytes(settings.memory_limit)
    if limit:
        yield MemoryLimit(
            f"BAQUP_AGENT_MEMORY_LIMIT={settings.memory_limit}",
            limit,
            limit,
            lambda: process_memory_bytes(proc),
            "raise BAQUP_AGENT_MEMORY_LIMIT, or have the job hold less at a time",
        )


def _group_limit(group: MemoryGroup | None) -> Iterator[MemoryLimit]:
    if group is not None:
        limit = group.limit_bytes
        yield MemoryLimit(
            "the memory limit of the container",
            limit,
            limit if group.swaps() else int(limit * _BEFORE_THE_KILL),
            group.used_bytes,
            "give the container more memory, or have the job hold less at a time",
        )


def _sentence(limit: MemoryLimit, used: int, how: str) -> str:
    return (
        f"memory: {used / _MIB:.0f} MiB in use, {how} {limit.name} "
        f"({limit.limit_bytes / _MIB:.0f} MiB)"
    )
