"""Which directories a job may work on."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

from baqup_agent.agents.fs.incomplete import MARKER
from baqup_agent.errors import ConfigError, OutputError, SourceUnavailable
from baqup_agent.security.member import printable

#: How much of what is in the way is named.
_NAMED = 3

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def open_source(path: Path) -> int:
    """Open the directory to read from.

    Returns:
        Its descriptor, the caller's to close.

    Raises:
        SourceUnavailable: it does not exist, is no directory, or cannot be read.
    """
    try:
        fd = os.open(path, _DIRECTORY)
    except OSError as error:
        raise SourceUnavailable(
            f"BAQUP_SOURCE_PATH {str(path)!r} cannot be read: {error.strerror}; "
            "it must be a directory that the agent may read",
            suggestions=["check that the volume is mounted and the path is right"],
        ) from error
    return fd


def check_apart(first: str, first_path: Path, second: str, second_path: Path) -> None:
    """Make sure that neither of two directories lies inside the other.

    They are compared by identity, so that links and second mounts do not hide one in the other.

    Args:
        first: the variable that names the one.
        first_path: the one; it need not exist.
        second: the variable that names the other.
        second_path: the other; it need not exist.

    Raises:
        ConfigError: they are not apart.
    """
    for outer, outer_path, inner, inner_path in (
        (first, first_path, second, second_path),
        (second, second_path, first, first_path),
    ):
        if _contains(outer_path, inner_path):
            raise ConfigError(
                f"{inner} {str(inner_path)!r} lies inside {outer} {str(outer_path)!r}; "
                "choose directories of which neither contains the other"
            )


def open_target(path: Path) -> int:
    """Open the directory to restore to, making it if it is absent.

    Returns:
        Its descriptor, the caller's to close.

    Raises:
        OutputError: it is no empty directory, or cannot be made.
    """
    try:
        if not os.path.lexists(path):
            path.mkdir(mode=0o700)
        fd = os.open(path, _DIRECTORY)
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        _require_empty(path, fd)
    except BaseException:
        os.close(fd)
        raise
    return fd


def check_target(path: Path) -> None:
    """Find out, without touching it, whether `open_target` would fail.

    Raises:
        OutputError: it is no empty directory, or its parent does not exist.
    """
    if not os.path.lexists(path):
        if not path.parent.is_dir():
            raise OutputError(
                f"BAQUP_TARGET_PATH {str(path)!r} cannot be made: its parent is no directory; "
                "make the parent first"
            )
        return
    os.close(open_target(path))


def _require_empty(path: Path, fd: int) -> None:
    with os.scandir(fd) as entries:
        names = [entry.name for entry in islice(entries, _NAMED + 1)]
    if not names:
        return
    if MARKER in os.listdir(fd):
        raise OutputError(
            f"BAQUP_TARGET_PATH {str(path)!r} holds what an earlier restore did not complete "
            f"({MARKER!r} tells); empty it, or name another directory",
            retriable=False,
        )
    shown = ", ".join(repr(printable(os.fsencode(name))) for name in sorted(names[:_NAMED]))
    more = " and more" if len(names) > _NAMED else ""
    raise OutputError(
        f"BAQUP_TARGET_PATH {str(path)!r} is not empty, it holds {shown}{more}; "
        "name an empty directory or one that does not exist yet",
        retriable=False,
    )


def _unusable(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"BAQUP_TARGET_PATH {str(path)!r} cannot be used: {error.strerror}; "
        "it must be an empty directory, or absent in a directory that can be written"
    )


def _contains(outer: Path, inner: Path) -> bool:
    try:
        wanted = outer.stat()
    except OSError:
        return False
    resolved = Path(os.path.realpath(inner))
    return any(_is(place, wanted) for place in (resolved, *resolved.parents))


def _is(place: Path, wanted: os.stat_result) -> bool:
    try:
        return os.path.samestat(place.stat(), wanted)
    except OSError:
        return False
