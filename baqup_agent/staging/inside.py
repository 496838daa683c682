"""A look inside artifacts: can they be decrypted, decompressed, and read as the archive they are?

The checksums tell that the bytes are those that were written. Whether what was written is of any
use, only reading it tells (Contract §4).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from attrs import evolve

from baqup_agent.errors import BaqupError, ConfigError, IOFailure
from baqup_agent.security.archive_reader import ArchiveReader
from baqup_agent.security.secret import Secret
from baqup_agent.staging.checking import Damage, Finding, Stamp
from baqup_agent.staging.codec import codec_named
from baqup_agent.staging.durable import open_directory
from baqup_agent.staging.encryption import FORMATS
from baqup_agent.staging.failures import translated
from baqup_agent.staging.manifest import Manifest
from baqup_agent.staging.reader import content_of, require_readable
from baqup_agent.staging.verification import Content, Verification
from baqup_agent.staging.whole import Whole, wholes

_PIECE_BYTES = 1 << 20

_ARCHIVE = ".tar"


def look_inside(
    directory: str | os.PathLike[str],
    found: Verification,
    *,
    key: Secret | None = None,
    on_stored: Callable[[int], None] | None = None,
) -> Verification:
    """Read every artifact that was found intact to its end; archives member by member.

    Args:
        directory: the directory that was verified.
        found: what was found there.
        key: what decrypts encrypted artifacts.
        on_stored: is told the stored bytes of each piece that was read; what it raises ends the
            look.

    Returns:
        What was found before, with the contents and what is wrong with them. What cannot be read
        inside is a finding; nothing is raised for it.
    """
    if found.manifest is None:
        return found
    path = Path(directory)
    contents: list[Content] = []
    findings = list(found.findings)
    stamps = {c.artifact.filename: c.stamp for c in found.checks if c.stamp is not None}
    for whole in wholes(found.manifest):
        if not all(file.filename in stamps for file in whole.files):
            continue
        try:
            contents.append(_read(whole, found.manifest, path, key, stamps, on_stored))
        except BaqupError as error:
            findings.append(_finding(whole, error))
    return evolve(found, findings=tuple(findings), contents=tuple(contents))


def _read(
    whole: Whole,
    manifest: Manifest,
    path: Path,
    key: Secret | None,
    stamps: dict[str, Stamp],
    on_stored: Callable[[int], None] | None,
) -> Content:
    require_readable(whole, key)
    with (
        _directory(path) as fd,
        content_of(whole, manifest.job_id, path, fd, key, stamps, on_stored) as stream,
    ):
        counted = _Counted(stream)
        members = _members(counted) if _is_archive(whole) else None
        while counted.read(_PIECE_BYTES):
            pass
        return Content(whole.name, counted.size_bytes, members)


@contextmanager
def _directory(path: Path) -> Iterator[int]:
    with translated(IOFailure, "open", path):
        fd = open_directory(path, follow=True)
    try:
        yield fd
    finally:
        os.close(fd)


class _Counted:
    """A stream that counts what is read of it."""

    def __init__(self, stream: BinaryIO) -> None:
        self.size_bytes = 0
        self._stream = stream

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes, none at the end."""
        data = self._stream.read(size)
        self.size_bytes += len(data)
        return data


def _members(stream: _Counted) -> int:
    reader = ArchiveReader(stream)
    count = 0
    for _member in reader:
        for _piece in reader.content():
            pass
        count += 1
    return count


def _is_archive(whole: Whole) -> bool:
    """Tell by the name, without what encryption and compression appended to it."""
    name = whole.name
    if whole.encryption is not None:
        name = name.removesuffix(FORMATS[whole.encryption.algorithm][1])
    return name.removesuffix(codec_named(whole.compression).suffix).endswith(_ARCHIVE)


def _finding(whole: Whole, error: BaqupError) -> Finding:
    message = error.message
    if repr(whole.name) not in message and whole.name not in message:
        message = f"{whole.name!r}: {message}"
    if isinstance(error, ConfigError):
        return Finding(Damage.UNCHECKED, message)
    damage = Damage.UNREADABLE if isinstance(error, IOFailure) else Damage.UNDECODABLE
    return Finding(damage, message)
