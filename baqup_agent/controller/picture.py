"""What is known of a job at one moment, put together from its messages.

Each message stands alone and the latest counts, by its timestamp (Contract §3); one whose timestamp
cannot be read is taken as it comes. A heartbeat with a higher number than its agent's others is
later than they, whatever its agent's clock did.

A living agent may send the status that a dead one had left. So the status of the agent that beat
first counts before that of any other, which counts only as long as there is none from it.
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
    _agent_id: str | None = None
    _reports: dict[str, Message] = field(factory=dict)
    _seqs: dict[str, int] = field(factory=dict)
    _times: dict[str, str] = field(factory=dict)

    def apply(self, message: Message, now_s: float) -> None:
        """Take in one message, seen at ``now_s`` seconds of a monotonic clock."""
        self.messages += 1
        kind = message["type"]
        if kind == "event":
            self._apply_event(message)
        elif kind == "status":
            self._apply_status(message)
        elif kind == "heartbeat":
            self._apply_heartbeat(message, now_s)
        elif self._is_latest("progress", message):
            self._apply_progress(message)

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

    def _is_next(self, message: Message) -> bool | None:
        """Whether a heartbeat's number is above its agent's others; None if that says nothing."""
        agent_id, seq = text_of(message, "agent_id"), number_of(message, "seq")
        if agent_id is None or seq is None:
            return None
        known = self._seqs.get(agent_id)
        self._seqs[agent_id] = int(seq) if known is None else max(known, int(seq))
        return None if known is None else seq > known

    def _apply_heartbeat(self, message: Message, now_s: float) -> None:
        following = self._is_next(message)
        known = self._times.get("heartbeat", "")
        latest = self._is_latest("heartbeat", message)
        repeated = following is False and self._times.get("heartbeat", "") == known
        if repeated or not (latest or following):
            return
        if self._agent_id is None:
            self._agent_id = text_of(message, "agent_id")
            self._choose_status()
        self.beats += 1
        self.last_beat_s = now_s
        self.state = text_of(message, "state") or self.state
        self.substate = text_of(message, "substate")
        self.intent = _intent(message.get("intent"))

    def _apply_progress(self, message: Message) -> None:
        percent = number_of(message, "percent_complete")
        self.percent = None if percent is None else min(max(percent, 0.0), 100.0)
        self.bytes_processed = int(number_of(message, "bytes_processed") or 0)
        self.files_processed = int(number_of(message, "files_processed") or 0)
        self.current_file = text_of(message, "current_file")
        self.remaining_s = number_of(message, "estimated_remaining_seconds")

    def _apply_status(self, message: Message) -> None:
        agent_id = text_of(message, "agent_id") or ""
        known = self._reports.get(agent_id)
        if not self._is_latest(f"status of {agent_id}", message):
            return
        self.statuses += message != known
        self._reports[agent_id] = message
        self._choose_status()

    def _choose_status(self) -> None:
        own = [it for it in self._reports.values() if self._is_own(it)]
        latest: Message | None = None
        for report in own or self._reports.values():
            if latest is None or _time_of(report) >= _time_of(latest):
                latest = report
        self.status = latest

    def _is_own(self, report: Message) -> bool:
        return self._agent_id is not None and text_of(report, "agent_id") in {None, self._agent_id}

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


def _time_of(message: Message) -> str:
    return order_of(message.get("timestamp")) or ""


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
