"""What the role ``restore`` is told of its target, beside where it is (Contract §2).

Rows of a table and no class of settings: those need attrs, and ``--info`` answers in half the time
without.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

from baqup_agent import Variable
from baqup_agent.config import Kind, size_bytes

#: Words of ``BAQUP_TARGET_OWNER``.
KEEP, IGNORE = "keep", "ignore"

#: Words of ``BAQUP_TARGET_VERIFY``.
FIRST, STREAMED = "first", "streamed"

TARGET_VARIABLES = (
    Variable(
        "BAQUP_TARGET_ONLY",
        Kind.ARRAY,
        "what to restore, patterns as in .gitignore; everything if it is empty",
        (),
        sdk=True,
    ),
    Variable(
        "BAQUP_TARGET_DRY_RUN",
        Kind.BOOL,
        "publish a list of what would be restored and leave the target alone",
        default=False,
        sdk=True,
    ),
    Variable(
        "BAQUP_TARGET_OWNER",
        Kind.ENUM,
        "recorded owners and set-id bits: keep (the default of root) or ignore",
        choices=(KEEP, IGNORE),
        sdk=True,
    ),
    Variable(
        "BAQUP_TARGET_SYNC",
        Kind.BOOL,
        "wait until all that was restored is on the disk",
        default=True,
        sdk=True,
    ),
    Variable(
        "BAQUP_TARGET_VERIFY",
        Kind.ENUM,
        "prove the checksum first, or streamed while the tree is written",
        FIRST,
        choices=(FIRST, STREAMED),
        sdk=True,
    ),
    Variable(
        "BAQUP_TARGET_MAX_BYTES",
        Kind.SIZE,
        "most bytes to restore, holes counted, 0 for no limit",
        "0",
        sdk=True,
    ),
    Variable(
        "BAQUP_TARGET_MAX_ENTRIES",
        Kind.INT,
        "most files, directories and links in the archive, 0 for no limit",
        0,
        minimum=0,
        sdk=True,
    ),
    Variable(
        "BAQUP_TARGET_MAX_NAME",
        Kind.INT,
        "longest path in the archive",
        65_536,
        minimum=1,
        unit="bytes",
        sdk=True,
    ),
    Variable(
        "BAQUP_TARGET_MAX_HEADER",
        Kind.SIZE,
        "most bytes of headers that one member of the archive may have",
        "1M",
        sdk=True,
    ),
)

_DEFAULTS = {variable.name: variable.default for variable in TARGET_VARIABLES}


class Target(NamedTuple):
    """How a tree is brought back.

    Attributes:
        only: what to bring back, patterns as in a ``.gitignore``; nothing for all of it.
        dry_run: list what would be written instead of writing it.
        owner: whether recorded owners and set-id bits are kept; None does so as root alone.
        sync: whether everything is on the disk before the restore is told to be complete.
        verify: whether the checksum is proven before the first byte is written, or meanwhile.
        max_bytes: content of all files together, holes counted; 0 is no limit.
        max_entries: files, directories and links together; 0 is no limit.
        max_name: bytes of a path.
        max_header: bytes of one member's headers.
    """

    only: tuple[str, ...]
    dry_run: bool
    owner: str | None
    sync: bool
    verify: str
    max_bytes: int
    max_entries: int
    max_name: int
    max_header: int

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Read it from a job's configuration."""

        def value(field: str) -> Any:
            name = f"BAQUP_TARGET_{field.upper()}"
            return values.get(name, _DEFAULTS[name])

        read = {field: value(field) for field in cls._fields}
        for field in ("max_bytes", "max_header"):
            read[field] = size_bytes(read[field])
        return cls(**{**read, "only": tuple(read["only"])})
