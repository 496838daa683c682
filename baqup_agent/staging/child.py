"""What an artifact's writer knows of child processes; `baqup_agent.job.process` runs them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any, BinaryIO, Protocol

from attrs import frozen

from baqup_agent.security.secret import Secret


@frozen
class Finished:
    """A child that has ended.

    Attributes:
        argv: the command.
        returncode: its exit code; negative for the signal that killed it.
        stdout: what it wrote there; empty where it was streamed.
        stderr: the end of what it wrote there.
    """

    argv: tuple[str, ...]
    returncode: int
    stdout: bytes
    stderr: str


class Runner(Protocol):
    """Runs a child to its end, its output going to a sink, and checks its exit code."""

    def __call__(
        self,
        argv: Sequence[str | os.PathLike[str]],
        *,
        stdin: bytes | Secret | IO[bytes] | BinaryIO | None = None,
        stdout: Any = None,
        env: Mapping[str, str | Secret] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        timeout_s: float | None = None,
        on_bytes: Callable[[int], object] | None = None,
    ) -> Finished:
        """Run the command; `baqup_agent.job.job.Job.run` describes the arguments."""
        ...
