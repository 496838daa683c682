"""What an archive is refused for: links that leave the tree, and the system's own answers."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from baqup_agent.errors import DataError, IOFailure, PathEscape
from baqup_agent.security.beneath import Components, climb
from baqup_agent.security.member import Member, printable, split

#: What the archive is to blame for: the system's answers to impossible names.
_REFUSALS = {
    errno.EEXIST: (DataError, "occurs twice"),
    errno.ENOENT: (DataError, "needs a directory or file that the archive has not brought before"),
    errno.ENOTDIR: (PathEscape, "leads through something that is no directory"),
    errno.ELOOP: (PathEscape, "leads through a link"),
    errno.EXDEV: (PathEscape, "leads out of the target"),
    errno.ENAMETOOLONG: (DataError, "has a name longer than the target allows"),
    errno.EINVAL: (DataError, "has a name or a size that the target does not allow"),
    errno.EFBIG: (DataError, "is larger than files can be in the target"),
    errno.EMLINK: (DataError, "has more names than files can have in the target"),
}


@contextmanager
def blaming(name: bytes) -> Iterator[None]:
    """Translate what writing a member of that name raises."""
    try:
        yield
    except (OSError, ValueError, OverflowError) as error:
        raise blame(name, error) from error


def blame(name: bytes, error: Exception) -> DataError | IOFailure:
    """Return the error that writing a member of that name ends in."""
    shown = printable(name) or "."
    if not isinstance(error, OSError):
        # Zero bytes and numbers that no system call takes.
        return DataError(f"member {shown!r} has a name or a time that no system takes: {error}")
    refusal = _REFUSALS.get(error.errno or 0)
    if refusal is None:
        return IOFailure(
            f"{shown!r} cannot be written: {error.strerror}; "
            "make room or mend the target, then restore into an empty one"
        )
    kind, reason = refusal
    return kind(f"member {shown!r} {reason}")


def check_symlink(member: Member) -> None:
    """Make sure that a link's text, taken by itself, stays in the tree.

    Raises:
        PathEscape: it is absolute, or climbs out of the tree at its start.
        DataError: it is empty or has a zero byte.
    """
    if not member.link or b"\0" in member.link:
        raise DataError(f"link {printable(member.name)!r} has an empty text or a zero byte")
    if member.link.startswith(b"/") or climb(member.link) > member.name.count(b"/"):
        raise link_escape(member.name, member.link)


def link_escape(name: bytes, text: bytes) -> PathEscape:
    """Return the error of a link that leaves the tree."""
    return PathEscape(
        f"link {printable(name)!r} points out of the target to {printable(text)!r}; "
        "links of an archive stay inside it"
    )


def original_of(member: Member) -> Components:
    """Return the path that a hard link stands for.

    Raises:
        DataError: it is the root.
    """
    original = split(member.link)
    if not original:
        raise DataError(
            f"hard link {printable(member.name)!r} stands for the root directory; "
            "it must stand for a file"
        )
    return original
