"""Draws a run in the terminal while it goes on, from the trace that it writes."""

from __future__ import annotations

import shutil
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import click

from baqup_agent.cli.lifecycle.target import Target
from baqup_agent.cli.text import printable
from baqup_agent.errors import UsageError
from baqup_agent.lifecycle.diagrams import Trace, overlay, parse_trace, text

#: How often the trace is looked at, seconds.
_LOOK_S = 0.2

#: How often the times are brought up to date where nothing else changes, seconds.
_REFRESH_S = 1.0

_HOME_AND_CLEAR = "\x1b[H\x1b[J"


def follow(target: Target, path: Path) -> None:
    """Draw a run until its trace says that it ended, or until Ctrl-C.

    In a terminal, each picture takes the place of the one before; elsewhere they follow each
    other, one for each change.

    Args:
        target: the lifecycle.
        path: the trace; it may not be there yet.

    Raises:
        UsageError: the trace can never be there, or be read.
        TraceError: it is no trace, or one of another lifecycle.
    """
    if not path.parent.is_dir():
        raise UsageError(
            f"{printable(str(path.parent))!r} is no directory; give --live FILE in one"
        )
    try:
        _Follower(target, path).follow()
    except KeyboardInterrupt:
        click.echo("\nno longer looking; the run itself goes on")


class _Follower:
    """Reads a growing trace and draws what it says."""

    def __init__(self, target: Target, path: Path) -> None:
        self._target = target
        self._path = path
        self._terminal = sys.stdout.isatty()
        self._seen: bytes | None = None
        self._drawn_s = 0.0

    def follow(self) -> None:
        """Draw until the end."""
        while True:
            data = self._read()
            if data != self._seen:
                self._seen = data
                if self._draw(data):
                    return
            elif self._terminal and time.monotonic() - self._drawn_s > _REFRESH_S:
                self._draw(data)
            # The writer may be in another container: its file tells nobody here that it grew.
            time.sleep(_LOOK_S)

    def _read(self) -> bytes:
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            shown = printable(str(self._path))
            raise UsageError(f"{shown!r} cannot be read: {error.strerror}; give a file") from error
        # A line that is being written is not there yet.
        return data[: data.rfind(b"\n") + 1]

    def _draw(self, data: bytes) -> bool:
        """Draw the run; whether it has ended."""
        self._drawn_s = time.monotonic()
        if not data.strip():
            self._show([f"waiting for {printable(str(self._path))}"])
            return False
        trace = parse_trace(data, self._path)
        run = overlay(self._target.lifecycle, trace, until_s=_now_s(trace))
        picture = text(self._target.lifecycle, self._target.name, run, colour=self._terminal)
        lines = picture.splitlines()
        self._show(lines if trace.end is not None else self._fitted(lines))
        return trace.end is not None

    def _fitted(self, lines: list[str]) -> list[str]:
        """As many lines as the terminal has, around where the run stands."""
        room = shutil.get_terminal_size().lines - 1
        if not self._terminal or len(lines) <= room:
            return lines
        marked = [i for i, line in enumerate(lines) if "─ ▶" in line]
        middle = marked[-1] if marked else 0
        head = 2
        start = min(max(middle - room // 2, head), len(lines) - room + head)
        return [*lines[:head], *lines[start : start + room - head]]

    def _show(self, lines: list[str]) -> None:
        if self._terminal:
            click.echo(_HOME_AND_CLEAR, nl=False)
        click.echo("\n".join(lines))


def _now_s(trace: Trace) -> float | None:
    """The present in seconds of the run's own clock."""
    if trace.began_at is None:
        return None
    return trace.began_s + (datetime.now(UTC) - trace.began_at).total_seconds()
