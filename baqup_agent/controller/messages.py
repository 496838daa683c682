"""What agents say, as a controller reads it: typed records made from foreign data (Contract §3).

A message was written by another program, in any language and version. What makes it a message at
all (kind, job, timestamp) has to be right, or it is none. Any other member that is not what the
contract says is set aside: it keeps its default, its name stands in `BusMessage.flaws`, and the
rest of the message counts. A heartbeat with a broken intent is still a sign of life.

Members that are not known here stay in `BusMessage.wire`, the message as it was written.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from attrs import evolve, field, fields_dict, frozen

from baqup_agent.bus.encoding import decode_hash
from baqup_agent.contract import AgentState, RunStatus
from baqup_agent.errors import DataError

if TYPE_CHECKING:
    from cattrs import Converter

#: RFC 3339 in UTC with none to nine digits of a second.
_TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z", re.ASCII)

_NANOSECONDS = 9

#: Longest message that is taken apart, bytes.
MAX_MESSAGE_BYTES = 16 * 1024 * 1024


class Malformed(Exception):
    """Something on the bus is no message of the contract; the text says why, in a few words."""


@frozen
class Intent:
    """One long operation that an agent announced (Contract §1).

    Attributes:
        operation: what is being done.
        expected_duration_seconds: how long it is expected to take; None if that is not said.
        detail: on what.
    """

    operation: str
    expected_duration_seconds: float | None = None
    detail: str | None = None


@frozen(kw_only=True)
class BusMessage:
    """What every message says.

    Attributes:
        job_id: the job that it is about.
        timestamp: when it was made, as its writer put it.
        agent_id: the agent process that sent it, if it says so.
        seq: its number within that process, if it has one.
        wire: the whole message as it was written, with members that are unknown here.
        flaws: names of members that are not what the contract says, and were set aside.
        size_bytes: what it took on the bus, about.
    """

    kind: ClassVar[str]

    job_id: str
    timestamp: str
    agent_id: str | None = None
    seq: int | None = None
    wire: Mapping[str, Any] = field(factory=dict, repr=False)
    flaws: tuple[str, ...] = ()
    size_bytes: int = field(default=0, repr=False, eq=False)

    @property
    def order(self) -> str:
        """The timestamp in a form of fixed width: the order of texts is the order of times."""
        return order_of(self.timestamp) or ""

    @property
    def moment(self) -> datetime | None:
        """The timestamp as a time, to the microsecond; None for a date that does not exist."""
        text = self.order
        try:
            return datetime.fromisoformat(f"{text[: -_NANOSECONDS - 1]}.{text[-_NANOSECONDS:-3]}Z")
        except ValueError:
            return None


@frozen(kw_only=True)
class Heartbeat(BusMessage):
    """A sign of life.

    Attributes:
        state: phase of the lifecycle; None if it is none of the contract's.
        substate: leaf of a refined lifecycle.
        intent: a long operation that is under way.
        last_progress_at: when the work itself last moved on, as a timestamp.
        age_s: seconds for which the bus had held it when it was read, by the bus's own clock; 0
            for one that was told as it came.
    """

    kind = "heartbeat"

    state: AgentState | None = None
    substate: str | None = None
    intent: Intent | None = None
    last_progress_at: str | None = None
    age_s: float = 0.0


@frozen(kw_only=True)
class Progress(BusMessage):
    """How far the work has come; see `baqup_agent.bus.messages.Progress` for the members."""

    kind = "progress"

    percent_complete: float | None = None
    bytes_processed: int = 0
    files_processed: int = 0
    current_file: str | None = None
    estimated_remaining_seconds: float | None = None


@frozen(kw_only=True)
class Status(BusMessage):
    """How a job ended; see `baqup_agent.bus.messages.Status` for the members.

    Attributes:
        status: None if it is none of the contract's words.
    """

    kind = "status"

    status: RunStatus | None = None
    agent: str | None = None
    agent_version: str | None = None
    role: str | None = None
    exit_code: int | None = None
    started_at: str | None = None
    completed_at: str | None = None
    files: tuple[dict[str, Any], ...] = ()
    metrics: dict[str, Any] = field(factory=dict)
    warnings_summary: dict[str, int] = field(factory=dict)
    error: dict[str, Any] | None = None
    summary: dict[str, int] | None = None
    components: tuple[dict[str, Any], ...] | None = None


@frozen(kw_only=True)
class Event(BusMessage):
    """Something worth knowing; see `baqup_agent.bus.messages.Event` for the members.

    Attributes:
        entry_id: its id in the stream of a Redis bus.
    """

    kind = "event"

    code: str
    severity: str = "info"
    message: str = ""
    first_occurrence: str | None = None
    last_occurrence: str | None = None
    count: int = 1
    sample_paths: tuple[str, ...] = ()
    entry_id: str | None = None


_CLASSES: dict[str, type[BusMessage]] = {
    cls.kind: cls for cls in (Heartbeat, Progress, Status, Event)
}

#: Members that a message itself cannot set: the reader knows them.
_OURS = {"wire", "flaws", "size_bytes", "age_s", "entry_id"}


def order_of(timestamp: object) -> str | None:
    """Return a timestamp in a form whose order as text is the order in time; None if it is none."""
    found = _TIMESTAMP.fullmatch(timestamp) if isinstance(timestamp, str) else None
    if found is None:
        return None
    return f"{found[1]}.{(found[2] or '').ljust(_NANOSECONDS, '0')}"


def read_message(wire: object, **known: Any) -> BusMessage:
    """Return the typed form of a message.

    Args:
        wire: the message as its writer made it, whatever that is.
        known: what the reader knows beside it: ``size_bytes``, a heartbeat's ``age_s``, an event's
            ``entry_id``.

    Raises:
        Malformed: it is none of the contract's messages.
    """
    if not isinstance(wire, dict):
        raise Malformed("it is no JSON object")
    kind = wire.get("type")
    cls = _CLASSES.get(kind) if isinstance(kind, str) else None
    if cls is None:
        raise Malformed("its type is none of " + ", ".join(_CLASSES))
    if order_of(wire.get("timestamp")) is None:
        raise Malformed(f"the {kind} has no timestamp in RFC 3339")
    declared = fields_dict(cls).keys() - _OURS
    # null and absent mean the same
    members = {name: v for name, v in wire.items() if name in declared and v is not None}
    return _structured(cls, members, {**known, "wire": wire})


def read_json(raw: bytes) -> BusMessage:
    """Return the message that a JSON text holds.

    Raises:
        Malformed: it holds none, or is very long.
    """
    if len(raw) > MAX_MESSAGE_BYTES:
        raise Malformed(f"it is longer than {MAX_MESSAGE_BYTES} bytes")
    try:
        wire = json.loads(raw, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise Malformed("it is no JSON") from error
    return read_message(wire, size_bytes=len(raw))


def read_hash(kind: str, fields: Mapping[Any, Any], **known: Any) -> BusMessage:
    """Return the message that a hash or the entry of a stream holds; see `read_message`.

    Raises:
        Malformed: it holds none.
    """
    try:
        wire = decode_hash(kind, fields)
    except DataError:
        wire = _decode_each(kind, fields)
    if wire.get("type") != kind:
        raise Malformed(f"what is stored as a {kind} does not say so")
    size_bytes = sum(len(name) + len(value) for name, value in fields.items())
    return read_message(wire, size_bytes=size_bytes, **known)


def about(job_id: str, message: BusMessage) -> BusMessage:
    """Return the message.

    Raises:
        Malformed: it is about another job than the place where it was found.
    """
    if message.job_id != job_id:
        raise Malformed("it is about another job than the place where it stands")
    return message


def _decode_each(kind: str, fields: Mapping[Any, Any]) -> dict[str, Any]:
    """Decode field by field; one that holds no JSON stays a text, and will be found a flaw."""
    wire: dict[str, Any] = {}
    for name, value in fields.items():
        try:
            wire |= decode_hash(kind, {name: value})
        except DataError:
            text = name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
            wire[text] = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return wire


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a number of JSON")


def _structured(
    cls: type[BusMessage], members: dict[str, Any], known: dict[str, Any]
) -> BusMessage:
    from cattrs.errors import ClassValidationError

    flaws: set[str] = set()
    while True:
        try:
            made = _converter().structure(members, cls)
        except ClassValidationError as error:
            bad = {name for name in _named(error) if name in members}
            if not bad:
                raise Malformed(f"the {cls.kind} lacks its job's id or its code") from error
            flaws |= bad
            members = {name: value for name, value in members.items() if name not in bad}
        else:
            return evolve(made, flaws=tuple(sorted(flaws)), **known)


def _named(error: Any) -> set[str]:
    """The members that a converter complains of."""
    from cattrs.errors import AttributeValidationNote

    return {
        note.name
        for below in error.exceptions
        for note in getattr(below, "__notes__", ())
        if isinstance(note, AttributeValidationNote)
    }


@cache
def _converter() -> Converter:
    """The converter that takes a value as it is or not at all: ``"3"`` is no number."""
    from cattrs import Converter

    converter = Converter(detailed_validation=True)
    converter.register_structure_hook(str, lambda value, _: _exactly(value, str))
    converter.register_structure_hook(int, lambda value, _: _exactly(value, int))
    converter.register_structure_hook(float, lambda value, _: _number(value))
    for words in (AgentState, RunStatus):  # they are texts too, whose hook would take any
        converter.register_structure_hook(words, lambda value, cls: cls(value))
    converter.register_structure_hook(Any, lambda value, _: value)
    return converter


def _exactly(value: Any, cls: type) -> Any:
    if type(value) is not cls:
        raise TypeError(value)
    return value


def _number(value: Any) -> float:
    if type(value) is int:
        value = float(value) if abs(value) < 1e300 else math.inf  # noqa: PLR2004  fits a float
    if type(value) is not float or not math.isfinite(value):
        raise TypeError(value)
    return value
