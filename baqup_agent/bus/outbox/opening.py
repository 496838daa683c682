"""Opening an outbox of one's own; trouble with the disk never stops a job (Contract §3)."""

from __future__ import annotations

import os
from pathlib import Path

from baqup_agent.bus.outbox.disk import Disk
from baqup_agent.bus.outbox.incarnation import Identity, Incarnation, create_or_reopen
from baqup_agent.bus.outbox.outbox import Outbox
from baqup_agent.bus.outbox.room import LIMIT_BYTES, Sizes
from baqup_agent.clock import Clock, SystemClock, timestamp


def open_outbox(
    root: Path,
    *,
    job_id: str,
    agent_id: str,
    key_prefix: str,
    limit_bytes: int = LIMIT_BYTES,
    clock: Clock | None = None,
    sizes: Sizes | None = None,
) -> Outbox:
    """Open the outbox of this process, on disk if that is possible.

    Args:
        root: ``BAQUP_BUS_FALLBACK_DIR``; made if it is missing.
        job_id: the job.
        agent_id: this process.
        key_prefix: ``BAQUP_BUS_KEY_PREFIX``, for whoever publishes the records later.
        limit_bytes: see `LIMIT_BYTES`.
        clock: tells the time.
        sizes: all measures, instead of ``limit_bytes``.

    Returns:
        The outbox. If it cannot be on disk it is in memory, and ``degraded`` tells why.
    """
    created_at = timestamp((clock or SystemClock()).now())
    identity = Identity(job_id, agent_id, key_prefix, created_at)
    sizes = sizes or Sizes(limit_bytes=limit_bytes)
    try:
        return open_incarnation(create_or_reopen(root, identity), sizes, repair=True)
    except (OSError, ValueError) as error:  # ValueError: a name that no file system knows
        return Outbox(identity, None, sizes, degraded=_reason(root, error))


def open_incarnation(incarnation: Incarnation, sizes: Sizes, *, repair: bool) -> Outbox:
    """Open the outbox in a directory, which is taken over, and let go of if that fails.

    Raises:
        OSError: something of it cannot be opened or read.
    """
    try:
        disk = Disk(incarnation, sizes, repair=repair)
    except BaseException:
        if incarnation.made:
            incarnation.remove()
        incarnation.close()
        raise
    try:
        return Outbox(incarnation.identity, disk, sizes)
    except BaseException:
        disk.close(remove=incarnation.made)
        raise


def _reason(root: Path, error: Exception) -> str:
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    where = error.filename if isinstance(error, OSError) and error.filename else os.fspath(root)
    shown = said if os.fspath(root) in said else f"{where!s}: {said}"
    return f"BAQUP_BUS_FALLBACK_DIR cannot be used, {shown}; messages are kept in memory only"
