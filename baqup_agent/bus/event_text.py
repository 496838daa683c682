"""An event's JSON, written quickly: the job's thread does it, and every microsecond counts.

The text is the one that `baqup_agent.bus.encoding.to_json` makes of an `Event`. It is put together
of three parts: what all events of a process begin with, what two stamps differ in, and what an
event says. Only the second has to wait for its turn among the numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from json.encoder import encode_basestring

from baqup_agent.bus.encoding import to_json
from baqup_agent.bus.messages import SAMPLE_PATHS_MAX, check_code, severity_rank
from baqup_agent.bus.plain import plain_text

#: What an event says before its occurrences, and behind them.
Saying = tuple[str, str]


def event_head(job_id: str, agent_id: str) -> str:
    """Return what all events of an agent process begin with, up to the timestamp."""
    stamp = {"type": "event", "job_id": plain_text(job_id), "agent_id": plain_text(agent_id)}
    return to_json(stamp)[:-1] + ',"timestamp":'


def event_saying(
    severity: str, code: str, message: str, occurrences: int, sample_paths: Sequence[str]
) -> Saying:
    """Return what an event says beside its stamp and its times.

    Raises:
        InternalError: the code or the severity is malformed.
    """
    if len(sample_paths) > SAMPLE_PATHS_MAX:
        sample_paths = sample_paths[:SAMPLE_PATHS_MAX]
    samples = ",".join(map(encode_basestring, sample_paths))
    if not samples.isascii():
        samples = ",".join([encode_basestring(plain_text(path)) for path in sample_paths])
    known = _LATEST.get((severity, code))
    before = known[1] if known and known[0] == message else _before(severity, code, message)
    return before, f'"count":{occurrences},"sample_paths":[{samples}]}}'


def event_json(head: str, moment: str, seq: int, saying: Saying, first: str, last: str) -> str:
    """Return the whole text.

    Args:
        head: see `event_head`.
        moment: the event's timestamp.
        seq: its number.
        saying: see `event_saying`.
        first: when it first happened, as a timestamp; empty for the event's own.
        last: when it happened last, likewise.
    """
    before, behind = saying
    return (
        f'{head}"{moment}","seq":{seq},{before},"first_occurrence":"{first or moment}",'
        f'"last_occurrence":"{last or moment}",{behind}'
    )


def _before(severity: str, code: str, message: str) -> str:
    """Check what an event is called, and write what it says before its occurrences."""
    severity_rank(severity)
    check_code(code)
    quoted = encode_basestring(plain_text(message))
    before = f'"severity":"{severity}","code":"{code}","message":{quoted}'
    # What equals a text without being one, such as an enum's member, may be written otherwise.
    if len(_LATEST) < _LATEST_MOST and type(severity) is type(code) is type(message) is str:
        _LATEST[severity, code] = (message, before)
    return before


#: Most codes of which it is remembered how their latest message is written. Agents use few codes,
#: and most of those come with one message.
_LATEST_MOST = 256
_LATEST: dict[tuple[str, str], tuple[str, str]] = {}
