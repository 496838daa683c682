"""The literal constants of the baqup agent contract, version 1.0.

Everything here is a fact that a controller relies on: numbers, words and codes to the letter.
The module imports nothing of the package and nothing slow, so that every other module, and the
quick ``--info`` path, can use it.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import NamedTuple

#: Version of the contract that this package implements (the manifest's ``version`` too).
CONTRACT_VERSION = "1.0"

#: Seconds after which a heartbeat vanishes from the bus: three beats (Contract §3).
HEARTBEAT_TTL_S = 30

#: Seconds that progress, status and events stay on the bus: 24 hours (Contract §3).
MESSAGE_TTL_S = 24 * 3600

#: [SDK] Seconds that cancelled work gets to unwind before the process leaves without it.
CANCEL_GRACE_S = 5

#: [SDK] Seconds that the report of an aborted or failed run waits for the bus at most.
FAILURE_REPORT_S = 2

#: [SDK] Longest time, in seconds, that the spans of a traced run may hold up its end.
LAST_SPANS_S = 2

#: [SDK] Seconds a runtime must allow between SIGTERM and SIGKILL: a whole stay in ``completing``,
#: its overrun, the last report and the last spans (Contract §1, grace).
STOP_GRACE_S = 60 + CANCEL_GRACE_S + FAILURE_REPORT_S + LAST_SPANS_S

#: Name of the completion signal in a job's directory (Contract §4).
MANIFEST_NAME = "manifest.json"

#: Name of the directory for work in progress, invisible to the controller (Contract §4).
STAGING_NAME = ".staging"

#: Name of the status file that stands in for an unreachable bus (Contract §3).
ORPHAN_STATUS_NAME = ".baqup-status.json"


class ExitCode(IntEnum):
    """Exit codes of an agent's process (Contract §5); printing one gives its number."""

    SUCCESS = 0
    GENERAL_FAILURE = 1
    USAGE_CONFIG_ERROR = 64
    DATA_ERROR = 65
    RESOURCE_UNAVAILABLE = 69
    INTERNAL_ERROR = 70
    CANT_CREATE_OUTPUT = 73
    IO_ERROR = 74
    COMPLETED_UNREPORTED = 75
    PARTIAL_FAILURE = 76


class AgentState(StrEnum):
    """The five states of the lifecycle as they stand on the wire (Contract §1)."""

    INITIALIZING = "initializing"
    RUNNING = "running"
    COMPLETING = "completing"
    TERMINATED = "terminated"
    FAILED = "failed"


class LogLevel(IntEnum):
    """Log levels in ascending severity (Contract §6)."""

    TRACE = 0
    DEBUG = 1
    INFO = 2
    WARN = 3
    ERROR = 4
    FATAL = 5

    @classmethod
    def parse(cls, word: str) -> LogLevel:
        """Return the level that a lower-case word such as ``warn`` names.

        Raises:
            ValueError: the word names none of the six levels.
        """
        try:
            return cls[word.upper()]
        except KeyError:
            allowed = ", ".join(level.word for level in cls)
            raise ValueError(f"{word!r} is no log level; one of {allowed}") from None

    @property
    def word(self) -> str:
        """The level as the contract writes it, for example ``warn``."""
        return self.name.lower()


class Role(StrEnum):
    """What an agent can be asked to do; each is a method of the author's class (Contract §8)."""

    SNAPSHOT = "snapshot"
    RESTORE = "restore"
    MIGRATE = "migrate"
    SYNC = "sync"
    TRANSFER = "transfer"
    FETCH = "fetch"


class RunStatus(StrEnum):
    """The outcome that a status message states (Contract §3)."""

    SUCCESS = "success"
    PARTIAL = "partial"
    FAILED = "failed"


class ErrorCategory(StrEnum):
    """Kinds of error, from which a controller decides on a retry (Contract §5)."""

    CONFIG = "config"
    TRANSIENT = "transient"
    PERMANENT = "permanent"
    PARTIAL = "partial"
    INTERNAL = "internal"


class PartialFailureMode(StrEnum):
    """How a run ends of which some components failed (Contract §5)."""

    FAIL = "fail"
    WARN = "warn"
    SKIP = "skip"


class Retriable(StrEnum):
    """Whether a controller may run the job again after an exit code (Contract §5)."""

    YES = "yes"
    NO = "no"
    MAYBE = "maybe"
    CONFIGURABLE = "configurable"


class ExitCodeFacts(NamedTuple):
    """What one exit code means and whether the job may be retried."""

    meaning: str
    retriable: Retriable | None


#: The taxonomy of Contract §5; ``None`` where a retry has no sense.
EXIT_CODES: dict[ExitCode, ExitCodeFacts] = {
    ExitCode.SUCCESS: ExitCodeFacts("success", None),
    ExitCode.GENERAL_FAILURE: ExitCodeFacts("general failure", Retriable.MAYBE),
    ExitCode.USAGE_CONFIG_ERROR: ExitCodeFacts("usage or configuration error", Retriable.NO),
    ExitCode.DATA_ERROR: ExitCodeFacts("data error", Retriable.NO),
    ExitCode.RESOURCE_UNAVAILABLE: ExitCodeFacts("resource unavailable", Retriable.YES),
    ExitCode.INTERNAL_ERROR: ExitCodeFacts("internal error, a bug in the agent", Retriable.MAYBE),
    ExitCode.CANT_CREATE_OUTPUT: ExitCodeFacts("cannot create output", Retriable.YES),
    ExitCode.IO_ERROR: ExitCodeFacts("I/O error", Retriable.YES),
    ExitCode.COMPLETED_UNREPORTED: ExitCodeFacts("completed, but unreported", Retriable.YES),
    ExitCode.PARTIAL_FAILURE: ExitCodeFacts("partial failure", Retriable.CONFIGURABLE),
}


class EventCode(NamedTuple):
    """Default severity of an event code and what it tells."""

    severity: str
    meaning: str


#: [SDK] The code of the one event that tells how many others were given up.
EVENTS_DROPPED = "EVENTS_DROPPED"

#: The contract's own event codes; an agent may add codes of its own.
EVENT_CODES: dict[str, EventCode] = {
    "PERMISSION_DENIED": EventCode("warn", "access to a file or resource was refused"),
    "SYMLINK_SKIPPED": EventCode("info", "a symbolic link was left out by policy"),
    "SYMLINK_EXTERNAL": EventCode("warn", "a symbolic link points outside the boundary"),
    "FILE_CHANGED": EventCode("warn", "a file was modified while it was backed up"),
    "FILE_VANISHED": EventCode("warn", "a file was deleted while it was backed up"),
    "COMPRESSION_FALLBACK": EventCode("info", "another compression algorithm was used"),
    "CHECKSUM_RETRY": EventCode("warn", "a checksum did not match and is tried again"),
    "CONNECTION_RETRY": EventCode("info", "a connection is being made again"),
    "RESOURCE_LIMIT_APPROACHING": EventCode("warn", "close to a configured limit"),
    "RESOURCE_LIMIT_EXCEEDED": EventCode("error", "over a configured limit, aborting"),
    "ANOMALY_DETECTED": EventCode("warn", "an unusual pattern in the source"),
    EVENTS_DROPPED: EventCode("warn", "too many events waited for the bus"),
}
