"""What an agent asks of the kernel, told, or slowed down, by ``strace``.

The tracer runs beside the agent, not above it (``-D``): the agent stays the process that the
suite signals and waits for. Where there is no strace, or it may not trace, checks do without it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path, PurePosixPath

from attrs import frozen

from baqup_agent.conformance.verdicts import NotApplicable

#: Calls that put a file into its place.
MOVES = ("rename", "renameat", "renameat2", "link", "linkat")

#: Calls that bring a file, or all of them, to the disk.
SYNCS = ("fsync", "fdatasync", "sync", "syncfs", "msync")

#: Calls that change a file's bytes.
WRITES = (
    "write",
    "writev",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "ftruncate",
    "fallocate",
    "sendfile",
    "copy_file_range",
    "splice",
)

#: Seconds for a trace of nothing at all.
_PROBE_S = 20.0

_BEGUN = re.compile(r"(\d+) +(\w+)\((.*?)(?:\) += (-?\d+|\?).*| <unfinished \.\.\.>)")
_RESUMED = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>(.*?)\) += (-?\d+|\?).*")
_WORD = re.compile(r'(?:-?\d+|AT_FDCWD)<([^>]*)>|"((?:[^"\\]|\\.)*)"')


@frozen
class Call:
    """One call that succeeded.

    Attributes:
        name: of the call.
        paths: the paths in its arguments, in order; a name below a directory is joined to it.
        began: its place among all beginnings and ends.
        ended: the place of its end.
    """

    name: str
    paths: tuple[str, ...]
    began: int
    ended: int


def traced(output: Path, calls: Sequence[str], *more: str) -> tuple[str, ...]:
    """Return the words that trace a command line behind them into a file.

    Raises:
        NotApplicable: nothing can be traced here.
    """
    refusal = _refusal()
    if refusal is not None:
        raise NotApplicable(refusal)
    return (*_BASE, "-o", str(output), "-e", f"trace={_named(calls)}", *more)


def slowed(calls: Sequence[str], delay_s: float) -> tuple[str, ...]:
    """Return the words that delay each such call, or none where nothing can be traced."""
    if _refusal() is not None:
        return ()
    delay = f"inject={_named(calls)}:delay_enter={round(delay_s * 1e6)}"
    return (*_BASE, "-o", "/dev/null", "-e", f"trace={_named(calls)}", "-e", delay)


#: Without -s 0 the bytes that are written would be told; paths are told in full all the same.
_BASE = ("strace", "-D", "-f", "-y", "-qq", "-s", "0")


def _named(calls: Sequence[str]) -> str:
    """Name calls so that one which this processor has not is passed over."""
    return ",".join("?" + one for one in calls)


@cache
def _refusal() -> str | None:
    """Return why nothing can be traced here; None if it can."""
    program = shutil.which("strace")
    if program is None:
        return "strace is not installed here, and nothing else tells system calls; install it"
    probe = [*_BASE, "-o", "/dev/null", "-e", "trace=?rename", "-e"]
    probe += ["inject=?rename,?renameat:delay_enter=1", "true"]
    try:
        done = subprocess.run(  # noqa: S603  fixed words
            [program, *probe[1:]], capture_output=True, timeout=_PROBE_S, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"strace cannot be used here: {error}"
    said = done.stderr.decode("utf-8", "replace").strip()
    return f"strace may not trace here: {said}" if done.returncode else None


def calls_in(trace: Path) -> list[Call]:
    """Read a trace: the calls that succeeded, in the order in which they ended."""
    found: list[Call] = []
    begun: dict[tuple[str, str], tuple[str, int]] = {}
    for place, line in enumerate(trace.read_text("utf-8", "replace").splitlines()):
        if match := _BEGUN.fullmatch(line):
            pid, name, arguments, result = match.groups()
            if result is None:
                begun[pid, name] = (arguments, place)
            elif not result.startswith(("-", "?")):
                found.append(Call(name, tuple(_paths(arguments)), place, place))
        elif match := _RESUMED.fullmatch(line):
            pid, name, rest, result = match.groups()
            arguments, began = begun.pop((pid, name), ("", place))
            if not result.startswith(("-", "?")):
                found.append(Call(name, tuple(_paths(arguments + rest)), began, place))
    return found


def _paths(arguments: str) -> Iterator[str]:
    """Yield the paths of some arguments: of descriptors alone, or joined with what is below."""
    directory: str | None = None
    for match in _WORD.finditer(arguments):
        descriptor, text = match.groups()
        if descriptor is not None:
            if directory is not None:
                yield directory
            directory = descriptor
        else:
            yield str(PurePosixPath(directory or "/", text))
            directory = None
    if directory is not None:
        yield directory
