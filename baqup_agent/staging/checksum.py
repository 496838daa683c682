"""Checksums of artifacts (Contract §4)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from baqup_agent.errors import ConfigError, IOFailure
from baqup_agent.staging.failures import translated

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

#: Every algorithm of the contract and the digits of its digest in hexadecimal.
ALGORITHMS = {"sha256": 64, "sha512": 128, "blake3": 64}

#: Bytes that are read and hashed at once.
CHUNK_BYTES = 1 << 20


class Hasher(Protocol):
    """A checksum in the making."""

    def update(self, data: ReadableBuffer, /) -> object:
        """Take more bytes in."""

    def hexdigest(self) -> str:
        """Return the digest of all bytes so far, in lower-case hexadecimal."""
        ...


def new_hash(algorithm: str) -> Hasher:
    """Return a fresh hasher.

    Raises:
        ConfigError: the algorithm is unknown, or needs a package that is not installed.
    """
    if algorithm not in ALGORITHMS:
        raise ConfigError(
            f"BAQUP_ARTIFACT_CHECKSUM_ALGORITHM is {algorithm!r}; "
            f"it must be one of {', '.join(ALGORITHMS)}"
        )
    if algorithm == "blake3":
        return _blake3()
    return hashlib.new(algorithm)


def _blake3() -> Hasher:
    try:
        from blake3 import blake3
    except ImportError as error:
        raise ConfigError(
            "the checksum algorithm 'blake3' needs a package that is not installed; "
            'run: pip install "baqup-agent[blake3]"'
        ) from error
    return blake3()


def compute_checksum(path: str | os.PathLike[str], algorithm: str = "sha256") -> str:
    """Return the checksum of a file's bytes, in lower-case hexadecimal.

    Args:
        path: the file; links are followed.
        algorithm: ``sha256``, ``sha512`` or ``blake3``.

    Raises:
        ConfigError: see `new_hash`.
        IOFailure: the file cannot be read.
    """
    hasher = new_hash(algorithm)
    with translated(IOFailure, "read", path), open(path, "rb", buffering=0) as file:  # noqa: PTH123
        feed(hasher, file.fileno())
    return hasher.hexdigest()


def feed(hasher: Hasher, fd: int, on_chunk: Callable[[int], None] | None = None) -> int:
    """Hash an open file from its current position to its end.

    Args:
        hasher: takes the bytes.
        fd: the open file.
        on_chunk: is told the number of bytes of each chunk once it is hashed.

    Returns:
        The number of bytes.

    Raises:
        OSError: the file cannot be read.
    """
    buffer = bytearray(CHUNK_BYTES)
    view = memoryview(buffer)
    total = 0
    while count := os.readv(fd, [buffer]):
        hasher.update(view[:count])
        total += count
        if on_chunk is not None:
            on_chunk(count)
    return total
