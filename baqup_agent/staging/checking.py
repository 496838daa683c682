"""Checking files against what the manifest promises of them, several at a time (Contract §4)."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Sequence
from enum import StrEnum
from queue import SimpleQueue

from attrs import frozen

from baqup_agent.contract import ExitCode
from baqup_agent.errors import BaqupError, ConfigError, IOFailure, VerificationFailed
from baqup_agent.security.limits import available_cpus
from baqup_agent.staging.artifact import Artifact
from baqup_agent.staging.checksum import feed, new_hash
from baqup_agent.staging.durable import open_regular

#: Files that are hashed at once; beyond a few, the disk is the limit.
_MOST_AT_ONCE = 8

#: Bytes in all below which threads cost more than they save.
_WORTH_THREADS = 4 << 20

#: What opening a link, a pipe, a socket or a directory answers instead of a file.
_NOT_A_FILE = frozenset({errno.ELOOP, errno.EINVAL, errno.EISDIR, errno.ENXIO})

_CORRUPT = "it is corrupt, discard the backup"


class Damage(StrEnum):
    """Why a backup cannot be trusted as it is; the gravest first."""

    CORRUPT = "corrupt"
    INCOMPLETE = "incomplete"
    UNDECODABLE = "undecodable"
    FOREIGN = "foreign"
    UNREADABLE = "unreadable"
    UNCHECKED = "unchecked"
    MISNAMED = "misnamed"

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of a command that found this."""
        return _EXIT_CODES.get(self, ExitCode.DATA_ERROR)

    def error(self, message: str) -> BaqupError:
        """Return the error that says so."""
        return _ERRORS.get(self, VerificationFailed)(message)


_EXIT_CODES = {
    Damage.UNREADABLE: ExitCode.IO_ERROR,
    Damage.UNCHECKED: ExitCode.USAGE_CONFIG_ERROR,
    Damage.MISNAMED: ExitCode.USAGE_CONFIG_ERROR,
}

_ERRORS: dict[Damage, type[BaqupError]] = {
    Damage.UNREADABLE: IOFailure,
    Damage.UNCHECKED: ConfigError,
    Damage.MISNAMED: ConfigError,
}


@frozen
class Finding:
    """One reason not to trust a backup.

    Attributes:
        damage: its kind.
        message: one line that names the file, what is wrong, and what to do.
    """

    damage: Damage
    message: str


#: What tells a file from another one and from itself after a change.
Stamp = tuple[int, int, int, int, int]


@frozen
class ArtifactCheck:
    """What was found of one file that the manifest lists.

    Attributes:
        artifact: the manifest's entry.
        finding: what is wrong with the file; None if it is intact.
        stamp: of the file that was found intact.
    """

    artifact: Artifact
    finding: Finding | None
    stamp: Stamp | None = None

    @property
    def problem(self) -> str | None:
        """One line on what is wrong with the file; None if it is intact."""
        return self.finding.message if self.finding else None


class _Stopped(Exception):
    """Ends a thread whose result nobody waits for."""


def stamp_of(fd: int) -> Stamp:
    """Return the stamp of an open file."""
    facts = os.fstat(fd)
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns


def check_file(
    artifact: Artifact, directory: int, on_chunk: Callable[[int], None] | None = None
) -> ArtifactCheck:
    """Compare a file with the manifest's entry.

    Args:
        artifact: what the manifest promises.
        directory: descriptor of the directory that holds the file.
        on_chunk: is told the bytes of each chunk that was hashed.
    """
    try:
        fd = open_regular(artifact.filename, directory)
        try:
            stamp = stamp_of(fd)
            finding = _compared(artifact, fd, on_chunk)
        finally:
            os.close(fd)
    except OSError as error:
        return ArtifactCheck(artifact, unopened(artifact, error))
    except ConfigError as error:
        message = f"{artifact.filename!r} cannot be checked: {error.message}"
        return ArtifactCheck(artifact, Finding(Damage.UNCHECKED, message))
    return ArtifactCheck(artifact, finding, None if finding else stamp)


def unopened(artifact: Artifact, error: OSError) -> Finding:
    """Return what it means that a file cannot be opened or read."""
    if error.errno == errno.ENOENT:
        return Finding(
            Damage.INCOMPLETE,
            f"{artifact.filename!r} is missing; the backup is incomplete, discard it",
        )
    reason = error.strerror or str(error)
    message = f"{artifact.filename!r} cannot be read: {reason}"
    if error.errno in _NOT_A_FILE:
        return Finding(Damage.CORRUPT, f"{message}; it must be a regular file")
    return Finding(Damage.UNREADABLE, message)


def wrong_size(artifact: Artifact, size: int) -> Finding:
    """Return what is said of a file that has another size than promised."""
    return Finding(
        Damage.CORRUPT,
        f"{artifact.filename!r} has {size} bytes, the manifest promises "
        f"{artifact.size_bytes}; {_CORRUPT}",
    )


def wrong_checksum(artifact: Artifact, checksum: str) -> Finding:
    """Return what is said of a file that has another checksum than promised."""
    return Finding(
        Damage.CORRUPT,
        f"{artifact.filename!r} has the {artifact.checksum_algorithm} {checksum}, the manifest "
        f"promises {artifact.checksum_value}; {_CORRUPT}",
    )


def _compared(
    artifact: Artifact, fd: int, on_chunk: Callable[[int], None] | None
) -> Finding | None:
    hasher = new_hash(artifact.checksum_algorithm)
    stored = os.fstat(fd).st_size
    size = feed(hasher, fd, on_chunk) if stored == artifact.size_bytes else stored
    if size != artifact.size_bytes:
        return wrong_size(artifact, size)
    checksum = hasher.hexdigest()
    return None if checksum == artifact.checksum_value else wrong_checksum(artifact, checksum)


def check_files(
    artifacts: Sequence[Artifact],
    directory: int,
    on_chunk: Callable[[int], None] | None = None,
    parallelism: int | None = None,
) -> tuple[ArtifactCheck, ...]:
    """Compare files with the manifest's entries, several at a time.

    Args:
        artifacts: what the manifest promises.
        directory: descriptor of the directory that holds the files.
        on_chunk: is told the bytes of each chunk that was hashed, in this very thread; what it
            raises ends the check.
        parallelism: files that are hashed at once; as many as there are processors if None.

    Returns:
        What was found, in the order of the artifacts.
    """
    at_once = min(len(artifacts), parallelism or min(available_cpus(), _MOST_AT_ONCE))
    small = sum(artifact.size_bytes for artifact in artifacts) < _WORTH_THREADS
    if at_once <= 1 or small:
        return tuple(check_file(artifact, directory, on_chunk) for artifact in artifacts)
    return _in_threads(artifacts, directory, on_chunk or (lambda _: None), at_once)


def _in_threads(
    artifacts: Sequence[Artifact], directory: int, on_chunk: Callable[[int], None], at_once: int
) -> tuple[ArtifactCheck, ...]:
    from concurrent.futures import ThreadPoolExecutor

    told: SimpleQueue[int | None] = SimpleQueue()
    stop = threading.Event()

    def tell(size: int) -> None:
        if stop.is_set():
            raise _Stopped
        told.put(size)

    def check(artifact: Artifact) -> ArtifactCheck:
        try:
            return check_file(artifact, directory, tell)
        finally:
            told.put(None)

    # The largest first: else the last thread may work alone for long.
    order = sorted(range(len(artifacts)), key=lambda at: -artifacts[at].size_bytes)
    with ThreadPoolExecutor(at_once, "checksum") as pool:
        futures = {at: pool.submit(check, artifacts[at]) for at in order}
        try:
            _listen(told, on_chunk, len(artifacts))
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return tuple(futures[at].result() for at in range(len(artifacts)))


def _listen(
    told: SimpleQueue[int | None], on_chunk: Callable[[int], None], unfinished: int
) -> None:
    while unfinished:
        size = told.get()
        if size is None:
            unfinished -= 1
        else:
            on_chunk(size)
