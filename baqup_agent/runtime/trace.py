"""The run's transitions as JSON Lines, complete up to the last instant.

Each line is handed to the kernel as it happens, so that a SIGKILL takes nothing with it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from baqup_agent.errors import ConfigError
from baqup_agent.observability.sink import LogSink

#: Version of the trace's form.
TRACE_VERSION = 1


class Trace:
    """An open trace file; an earlier trace of that name is replaced.

    Args:
        path: the file.
        log: told once if it cannot be written any more; the run goes on.

    Raises:
        ConfigError: the file cannot be created.
    """

    def __init__(self, path: Path, log: LogSink) -> None:
        self._log = log
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
            self._fd = os.open(path, flags, 0o644)
        except OSError as error:
            raise ConfigError(
                f"BAQUP_AGENT_TRACE_FILE={str(path)!r} cannot be written: {error.strerror}; "
                "give a file in a directory that exists, or unset it"
            ) from error

    def write(self, kind: str, **members: Any) -> None:
        """Append one line."""
        if self._fd < 0:
            return
        line = json.dumps({"type": kind, **members}, separators=(",", ":")).encode() + b"\n"
        try:
            reason = None if os.write(self._fd, line) == len(line) else "the disk is full"
        except OSError as error:
            reason = error.strerror
        if reason is not None:
            self.close()
            self._log.warn("the trace ends here", reason=reason)

    def close(self) -> None:
        """Write no more; harmless when repeated."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
