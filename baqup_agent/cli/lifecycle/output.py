"""Where the lifecycle commands write: standard output, or the file that was named."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from baqup_agent.cli.text import printable
from baqup_agent.errors import OutputError, UsageError


def write_text(text: str, output: Path | None) -> None:
    """Write a text as UTF-8 to a file, or to standard output.

    Raises:
        OutputError: the file cannot be written.
    """
    if output is None:
        click.echo(text, nl=False)
    else:
        _write(text.encode(), output)


def write_bytes(content: bytes, output: Path | None) -> None:
    """Write a binary picture to a file, or to standard output where that is no terminal.

    Raises:
        UsageError: standard output is a terminal.
        OutputError: the file cannot be written.
    """
    if output is not None:
        _write(content, output)
    elif sys.stdout.isatty():
        raise UsageError("a png cannot be shown in a terminal; give --output FILE")
    else:
        sys.stdout.buffer.write(content)


def _write(content: bytes, output: Path) -> None:
    try:
        output.write_bytes(content)
    except OSError as error:
        raise OutputError(
            f"{printable(str(output))!r} cannot be written: {error.strerror}; give "
            "--output FILE in a directory that you may write to"
        ) from error
