"""Joining the parts of a split artifact into one file (Contract §4).

The result is what ``cat NAME.part*`` gives, with every checksum verified on the way. The parts are
only read. The file appears under its name when it is complete and synced, and never in place of
another one.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from attrs import frozen

from baqup_agent.errors import IOFailure, OutputError, UsageError
from baqup_agent.staging.durable import (
    create_file,
    exists,
    open_directory,
    sync_directory,
    write_all,
)
from baqup_agent.staging.failures import translated
from baqup_agent.staging.manifest import Manifest
from baqup_agent.staging.stored import StoredBytes
from baqup_agent.staging.whole import Whole, wholes

_PIECE_BYTES = 1 << 20

#: What a filesystem without hard links answers when it is asked for one.
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS})


@frozen
class Joined:
    """A file that was made of parts.

    Attributes:
        whole: the artifact.
        path: where the file is.
    """

    whole: Whole
    path: Path


def split_artifact(directory: Path, name: str | None = None) -> Whole:
    """Return a split artifact of a published directory.

    Args:
        directory: the published directory.
        name: its joined name, or that of any of its parts; None if there is only one.

    Raises:
        VerificationFailed: there is no manifest that holds.
        IOFailure: the manifest cannot be read.
        UsageError: there is none of that name, or more than one to choose from.
    """
    known = wholes(Manifest.read(directory))
    split = [whole for whole in known if whole.split]
    listed = ", ".join(repr(whole.name) for whole in split) or "none"
    if name is None:
        if len(split) == 1:
            return split[0]
        raise UsageError(
            f"{str(directory)!r} has {len(split)} split artifacts ({listed}); "
            + ("name one of them" if split else "there is nothing to join")
        )
    for whole in known:
        if name in (whole.name, *(file.filename for file in whole.files)):
            if whole.split:
                return whole
            raise UsageError(f"{name!r} is not split; it is one file already, copy it")
    raise UsageError(f"{name!r} is no artifact of {str(directory)!r}; the split ones are {listed}")


def join(
    directory: Path, whole: Whole, target: Path, on_chunk: Callable[[int], None] | None = None
) -> Joined:
    """Write the parts of a split artifact into one file, and verify each on the way.

    Args:
        directory: the published directory.
        whole: the artifact.
        target: the new file; its directory must be there, and be another one.
        on_chunk: is told the bytes of each piece that was read; what it raises ends the work.

    Raises:
        UsageError: the target would lie in the published directory.
        OutputError: there is something of that name already, or it cannot be created.
        VerificationFailed: a part is missing or not what the manifest promises.
        IOFailure: reading or writing failed.
    """
    with translated(OutputError, "open", target.parent):
        place = open_directory(target.parent, follow=True)
    try:
        _require_free(directory, target, place)
        _write(directory, whole, target, place, on_chunk)
    finally:
        os.close(place)
    return Joined(whole, target)


def _require_free(directory: Path, target: Path, place: int) -> None:
    if os.path.samestat(directory.stat(), os.fstat(place)):
        raise UsageError(
            f"{str(target)!r} lies in the published directory, which is never written to; "
            "choose a place elsewhere by --to"
        )
    with translated(OutputError, "look for", target):
        taken = exists(target.name, place)
    if taken:
        raise _taken(target)


def _taken(target: Path) -> OutputError:
    return OutputError(f"{str(target)!r} is there already and is not overwritten; choose by --to")


def _write(
    directory: Path,
    whole: Whole,
    target: Path,
    place: int,
    on_chunk: Callable[[int], None] | None,
) -> None:
    scratch = f".{uuid4().hex}.tmp"
    with translated(OutputError, "create", target.with_name(scratch)):
        fd = create_file(scratch, place)
    try:
        try:
            _copy(directory, whole, fd, target, on_chunk)
        finally:
            os.close(fd)
        _name(scratch, target, place)
    except BaseException:
        # What went wrong first is what the caller must hear of.
        with suppress(OSError):
            os.unlink(scratch, dir_fd=place)
        raise


def _copy(
    directory: Path, whole: Whole, fd: int, target: Path, on_chunk: Callable[[int], None] | None
) -> None:
    with translated(IOFailure, "open", directory):
        source = open_directory(directory, follow=True)
    try:
        with StoredBytes(whole, directory, source, on_chunk=on_chunk) as stored:
            piece = memoryview(bytearray(_PIECE_BYTES))
            while count := stored.readinto(piece):
                with translated(IOFailure, "write", target):
                    write_all(fd, piece[:count])
        with translated(IOFailure, "sync", target):
            os.fsync(fd)
    finally:
        os.close(source)


def _name(scratch: str, target: Path, place: int) -> None:
    """Give the finished file its name, in one step, unless that is taken by now."""
    try:
        os.link(scratch, target.name, src_dir_fd=place, dst_dir_fd=place)
        os.unlink(scratch, dir_fd=place)
    except FileExistsError:
        raise _taken(target) from None
    except OSError as error:
        with translated(OutputError, "create", target):
            if error.errno not in _NO_LINKS:
                raise
            if exists(target.name, place):
                raise _taken(target) from None
            os.rename(scratch, target.name, src_dir_fd=place, dst_dir_fd=place)
    with translated(IOFailure, "sync", target.parent):
        sync_directory(place)
