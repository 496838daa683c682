"""How much an outbox may hold, and who has to stay out when it fills up (Contract §3).

[SDK] The grave matters most: as the outbox fills, the least grave events are refused first, so
that there is room for errors until the very end. A status is never refused.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from baqup_agent.contract import LogLevel

_KIB = 1024
_MIB = 1024 * _KIB

#: Most bytes of unacknowledged records on disk.
LIMIT_BYTES = 64 * _MIB

#: Share of the limit up to which events of a severity are taken.
SHARES: Mapping[str, float] = {
    LogLevel.TRACE.word: 0.50,
    LogLevel.DEBUG.word: 0.50,
    LogLevel.INFO.word: 0.75,
    LogLevel.WARN.word: 0.90,
    LogLevel.ERROR.word: 1.00,
    LogLevel.FATAL.word: 1.00,
}

#: Where an event is counted whose severity is none of these.
DEFAULT_SEVERITY = LogLevel.INFO.word


@frozen
class Sizes:
    """The measures of an outbox, in bytes unless they say otherwise.

    Attributes:
        limit_bytes: see `LIMIT_BYTES`.
        memory_bytes: the same for records that could not be written to disk.
        segment_bytes: a segment that has reached this size is followed by the next one.
        idle_bytes: a segment of this size is given up once all of it is acknowledged.
        cached_bytes: most text of unread records that is kept in memory beside the disk.
        cached_records: likewise, a number.
        chunk_bytes: how much is read from disk at once.
        reserve_bytes: disk space held back for a status.
    """

    limit_bytes: int = LIMIT_BYTES
    memory_bytes: int = 8 * _MIB
    segment_bytes: int = _MIB
    idle_bytes: int = 64 * _KIB
    cached_bytes: int = _MIB
    cached_records: int = 4096
    chunk_bytes: int = 256 * _KIB
    reserve_bytes: int = 64 * _KIB


def ceilings(limit_bytes: int) -> dict[str, int]:
    """Return for each severity how many bytes may be in use after one more event of it."""
    return {severity: int(limit_bytes * share) for severity, share in SHARES.items()}
