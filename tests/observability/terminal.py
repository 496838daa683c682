"""Runs a command with its stderr on a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Mapping, Sequence


def through_a_terminal(command: Sequence[str], environ: Mapping[str, str]) -> str:
    """Return what the command writes to a stderr that is a terminal."""
    ours, theirs = pty.openpty()
    try:
        subprocess.run(command, env=environ, stderr=theirs, check=True)
        return os.read(ours, 65536).decode()
    finally:
        os.close(theirs)
        os.close(ours)
