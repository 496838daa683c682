"""The messages of the bus as frozen records (Contract §3).

Each message has a `Stamp`; see `baqup_agent.bus.stamps`. A record knows its wire form and nothing
of transports.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, ClassVar

from attrs import field, frozen

from baqup_agent.bus.plain import plain_number, plain_text, plain_value
from baqup_agent.bus.stamps import Stamp, Stamper
from baqup_agent.bus.topology import topic
from baqup_agent.clock import timestamp
from baqup_agent.contract import AgentState, ExitCode, LogLevel, Role, RunStatus
from baqup_agent.errors import InternalError

__all__ = [
    "SAMPLE_PATHS_MAX",
    "Event",
    "Heartbeat",
    "Intent",
    "Message",
    "Progress",
    "Stamp",
    "Stamper",
    "Status",
    "check_code",
    "severity_rank",
]

#: Most paths that an event shows as samples.
SAMPLE_PATHS_MAX = 5

_CODE = re.compile(r"[A-Z][A-Z0-9_]*")


def check_code(code: str) -> str:
    """Return ``code`` if it has the form of an event code.

    Raises:
        InternalError: it has not (a mistake of the agent's author).
    """
    if not _is_code(code):
        raise InternalError(
            f"event code {code!r} is not upper-case words joined by underscores; "
            "write it like 'FILE_CHANGED'",
            code="EVENT_CODE_INVALID",
        )
    return code


@lru_cache(maxsize=256)
def _is_code(code: str) -> bool:
    return _CODE.fullmatch(code) is not None


def severity_rank(severity: str) -> int:
    """Return how grave a severity is, 0 (``trace``) to 5 (``fatal``).

    Raises:
        InternalError: the word is no severity (a mistake of the agent's author).
    """
    rank = _RANKS.get(severity)
    if rank is None:
        raise InternalError(
            f"event severity {severity!r} does not exist; use one of {', '.join(_RANKS)}",
            code="EVENT_SEVERITY_INVALID",
        )
    return rank


_RANKS = {level.word: int(level) for level in LogLevel}


def _optional_text(text: str | None) -> str | None:
    return None if text is None else plain_text(text)


def _optional_tree(tree: Any) -> Any:
    return None if tree is None else plain_value(tree)


def _check_severity(_event: object, _attribute: object, severity: str) -> None:
    severity_rank(severity)


def _sample(paths: Sequence[str]) -> tuple[str, ...]:
    return tuple(plain_text(path) for path in paths[:SAMPLE_PATHS_MAX])


@frozen
class _Message(ABC):
    """What all messages share."""

    kind: ClassVar[str]
    #: Members that are stated even when they are null.
    stated: ClassVar[frozenset[str]] = frozenset()

    stamp: Stamp

    @property
    def topic(self) -> str:
        """The message's key on the bus, without the prefix."""
        return topic(self.to_wire())

    def to_wire(self) -> dict[str, Any]:
        """Return the message as it stands on the wire, ``type`` first, without null members."""
        body = {
            name: value
            for name, value in self._body().items()
            if value is not None or name in self.stated
        }
        return {"type": self.kind, **self.stamp.to_wire(), **body}

    @abstractmethod
    def _body(self) -> dict[str, Any]:
        """The members beside type and stamp, null ones included."""


@frozen
class Intent:
    """One long operation, announced so that the controller extends its patience (Contract §1).

    Attributes:
        operation: what is being done, for instance ``checksum_large_file``.
        expected_duration_seconds: how long it is expected to take.
        detail: on what, a path or free text.
    """

    operation: str = field(converter=plain_text)
    expected_duration_seconds: float
    detail: str | None = field(default=None, converter=_optional_text)

    def to_wire(self) -> dict[str, Any]:
        """Return the intent as it stands in a heartbeat."""
        wire: dict[str, Any] = {
            "operation": self.operation,
            "expected_duration_seconds": plain_number(self.expected_duration_seconds) or 0,
        }
        return wire if self.detail is None else {**wire, "detail": self.detail}


@frozen
class Heartbeat(_Message):
    """The sign of life (Contract §1).

    Attributes:
        state: the phase of the lifecycle.
        substate: [SDK] the leaf of a refined lifecycle.
        intent: a long operation that is under way.
        last_progress_at: [SDK] when the work itself last moved on, as a timestamp.
    """

    kind = "heartbeat"

    state: AgentState = field(converter=AgentState)
    substate: str | None = None
    intent: Intent | None = None
    last_progress_at: str | None = None

    def _body(self) -> dict[str, Any]:
        return {
            "state": self.state.value,
            "substate": self.substate,
            "intent": None if self.intent is None else self.intent.to_wire(),
            "last_progress_at": self.last_progress_at,
        }


@frozen
class Progress(_Message):
    """How far the work has come; each one replaces the one before.

    Attributes:
        percent_complete: 0 to 100, None where the whole is unknown.
        bytes_processed: bytes so far.
        files_processed: files so far.
        current_file: what is being handled.
        estimated_remaining_seconds: a guess at what is left.
    """

    kind = "progress"

    percent_complete: float | None = field(default=None, converter=plain_number)
    bytes_processed: int = 0
    files_processed: int = 0
    current_file: str | None = field(default=None, converter=_optional_text)
    estimated_remaining_seconds: float | None = field(default=None, converter=plain_number)

    def _body(self) -> dict[str, Any]:
        return {
            "percent_complete": self.percent_complete,
            "bytes_processed": self.bytes_processed,
            "files_processed": self.files_processed,
            "current_file": self.current_file,
            "estimated_remaining_seconds": self.estimated_remaining_seconds,
        }


@frozen
class Status(_Message):
    """How a job ended (Contract §3 and §5).

    Attributes:
        agent: the agent's name.
        role: what it was asked to do.
        status: ``success``, ``partial`` or ``failed``.
        started_at: when the agent began.
        completed_at: when the outcome was known.
        exit_code: [SDK] the code with which the process exits.
        agent_version: [SDK] version of the agent's own code.
        files: the published artifacts, each as §3 writes it.
        metrics: figures of the run.
        warnings_summary: how often each warning occurred, by its code.
        error: the error object of §5; stated as null on success.
        summary: the components in figures, where there are components.
        components: the parts of the job and what became of each.
    """

    kind = "status"
    stated = frozenset({"error"})

    agent: str = field(converter=plain_text)
    role: Role = field(converter=Role)
    status: RunStatus = field(converter=RunStatus)
    started_at: datetime
    completed_at: datetime
    exit_code: ExitCode = field(converter=ExitCode)
    agent_version: str | None = field(default=None, converter=_optional_text)
    files: Sequence[Mapping[str, Any]] = field(default=(), converter=plain_value)
    metrics: Mapping[str, Any] = field(factory=dict, converter=plain_value)
    warnings_summary: Mapping[str, int] = field(factory=dict, converter=plain_value)
    error: Mapping[str, Any] | None = field(default=None, converter=_optional_tree)
    summary: Mapping[str, int] | None = field(default=None, converter=_optional_tree)
    components: Sequence[Mapping[str, Any]] | None = field(default=None, converter=_optional_tree)

    def _body(self) -> dict[str, Any]:
        return {
            "agent": self.agent,
            "agent_version": self.agent_version,
            "role": self.role.value,
            "status": self.status.value,
            "exit_code": self.exit_code.value,
            "started_at": timestamp(self.started_at),
            "completed_at": timestamp(self.completed_at),
            "files": self.files,
            "metrics": self.metrics,
            "warnings_summary": self.warnings_summary,
            "error": self.error,
            "summary": self.summary,
            "components": self.components,
        }


@frozen
class Event(_Message):
    """Something worth knowing that did not end the job.

    Attributes:
        code: an event code, the contract's or the agent's own.
        severity: ``trace``, ``debug``, ``info``, ``warn``, ``error`` or ``fatal``.
        message: what happened, as a sentence.
        first_occurrence: when it first happened in this job.
        last_occurrence: when it happened last.
        count: [SDK] how often so far in this job; a later event of the code supersedes this one.
        sample_paths: a few of the paths that it happened to.
    """

    kind = "event"

    code: str = field(converter=check_code)
    severity: str = field(validator=_check_severity)
    message: str = field(converter=plain_text)
    first_occurrence: datetime
    last_occurrence: datetime
    count: int = 1
    sample_paths: Sequence[str] = field(default=(), converter=_sample)

    @property
    def rank(self) -> int:
        """How grave it is, 0 (``trace``) to 5 (``fatal``)."""
        return severity_rank(self.severity)

    def _body(self) -> dict[str, Any]:
        return {
            "severity": self.severity,
            "code": self.code,
            "message": self.message,
            "first_occurrence": timestamp(self.first_occurrence),
            "last_occurrence": timestamp(self.last_occurrence),
            "count": self.count,
            "sample_paths": list(self.sample_paths),
        }


#: Any message of the bus.
Message = Heartbeat | Progress | Status | Event
