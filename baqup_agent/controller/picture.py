"""What is known of a job at one moment, put together from its messages.

Each message stands alone and the latest counts, by its timestamp (Contract §3); one whose timestamp
cannot be read is taken as it comes.
"""

from __future__ import annotations

from typing import Any

from attrs import define, field

from baqup_agent.controller.messages import order_of
from baqup_agent.controller.observe import Message


@define
class EventTally:
    """All occurrences of one event code.

    Attributes:
        code: the code.
        severity: of its latest message.
        message: text of its latest message.
        count: occurrences since the job began.
        sample_paths: a few of the paths it happened to.
    """

    code: str
    severity: str = "info"
    message: str = ""
    count: int = 0
    sample_paths: tuple[str, ...] = ()


@define
class Intent:
    """One long operation that the agent announced (Contract §1)."""

    operation: str
    detail: str = ""
    expected_s: float | None = None


@define
class JobPicture:
    """The latest of everything; None where nothing was said yet.

    Attributes:
        state: phase of the lifecycle.
        substate: leaf of a refined lifecycle.
        intent: the announced operation, if any.
        last_beat_s: when the latest heartbeat was seen, on the controller's monotonic clock.
        beats: how many heartbeats were seen.
        percent: share of the work that is done, 0 to 100.
        bytes_processed: bytes handled so far.
        files_processed: files handled so far.
        current_file: what is being handled.
        remaining_s: the agent's guess at what is left, seconds.
        events: by code, in order of first appearance.
        status: the final status message.
        statuses: how many different status messages there were.
        messages: how many messages of any kind were seen.
    """

    state: str | None = None
    substate: str | None = None
    intent: Intent | None = None
    last_beat_s: float | None = None
    beats: int = 0
    percent: float | None = None
    bytes_processed: int = 0
    files_processed: int = 0
    current_file: str | None = None
    remaining_s: float | None = None
    events: dict[str, EventTally] = field(factory=dict)
    status: Message | None = None
    statuses: int = 0
    messages: int = 0
    _times: dict[str, str] = field(factory=dict)

    def apply(self, message: Message, now_s: float) -> None:
        """Take in one message, seen at ``now_s`` seconds of a monotonic clock."""
        self.messages += 1
        kind = message["type"]
        if kind == "event":
            self._apply_event(message)
        elif self._is_latest(kind, message):
            {
                "heartbeat": self._apply_heartbeat,
                "progress": self._apply_progress,
                "status": self._apply_status,
            }[kind](message, now_s)

    @property
    def warnings(self) -> dict[str, int]:
        """How often each event of severity ``warn`` or above occurred."""
        grave = ("warn", "error", "fatal")
        return {e.code: e.count for e in self.events.values() if e.severity in grave}

    def _is_latest(self, kind: str, message: Message) -> bool:
        time = order_of(message.get("timestamp"))
        if time is None:
            return True
        if time < self._times.get(kind, ""):
            return False
        self._times[kind] = time
        return True

    def _apply_heartbeat(self, message: Message, now_s: float) -> None:
        self.beats += 1
        self.last_beat_s = now_s
        self.state = text_of(message, "state") or self.state
        self.substate = text_of(message, "substate")
        self.intent = _intent(message.get("intent"))

    def _apply_progress(self, message: Message, now_s: float) -> None:  # noqa: ARG002  one signature
        percent = number_of(message, "percent_complete")
        self.percent = None if percent is None else min(max(percent, 0.0), 100.0)
        self.bytes_processed = int(number_of(message, "bytes_processed") or 0)
        self.files_processed = int(number_of(message, "files_processed") or 0)
        self.current_file = text_of(message, "current_file")
        self.remaining_s = number_of(message, "estimated_remaining_seconds")

    def _apply_status(self, message: Message, now_s: float) -> None:  # noqa: ARG002  one signature
        self.statuses += message != self.status
        self.status = message

    def _apply_event(self, message: Message) -> None:
        code = text_of(message, "code")
        if code is None:
            return
        tally = self.events.setdefault(code, EventTally(code))
        count = int(number_of(message, "count") or 1)
        tally.count = max(tally.count, count)  # cumulative: a late repetition changes nothing
        tally.severity = text_of(message, "severity") or tally.severity
        tally.message = text_of(message, "message") or tally.message
        paths = message.get("sample_paths")
        if isinstance(paths, list):
            tally.sample_paths = tuple(path for path in paths if isinstance(path, str))


def text_of(message: Message, name: str) -> str | None:
    """Return a member that is a text; None if it is absent or something else."""
    value = message.get(name)
    return value if isinstance(value, str) else None


def number_of(message: Message, name: str) -> float | None:
    """Return a member that is a finite number; None if it is absent or something else."""
    value: Any = message.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) < float("inf") else None


def _intent(value: object) -> Intent | None:
    if not isinstance(value, dict):
        return None
    operation = text_of(value, "operation")
    if operation is None:
        return None
    expected_s = number_of(value, "expected_duration_seconds")
    return Intent(operation, text_of(value, "detail") or "", expected_s)
