"""Replaying what dead agents left, against real servers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from redis import Redis

from baqup_agent.bus.client import open_transport
from baqup_agent.bus.encoding import decode_hash, to_json
from baqup_agent.bus.outage import BusUnavailable, MessageRejected
from baqup_agent.bus.outbox import Outbox
from baqup_agent.bus.topology import Wire
from baqup_agent.bus.transport import Transport
from baqup_agent.config.settings import BusSettings
from baqup_agent.controller.replay import Replay
from baqup_agent.controller.replay_sources import (
    ALIVE,
    FOUND,
    PUBLISHED,
    UNUSABLE,
    WAITING,
    find,
    look,
)
from baqup_agent.errors import BusRefused, UsageError
from baqup_agent.security.secret import Secret
from tests.bus.outbox.boxes import box, crash
from tests.bus.samples import AGENT, JOB, event, stamp, status

OTHER = "00000000-0000-4000-8000-000000000001"


class Bus:
    """What a controller sees of a server."""

    def __init__(self, url: str, prefix: str) -> None:
        self.settings = BusSettings(url=Secret(url), key_prefix=prefix)
        self._prefix = prefix
        self._client = Redis.from_url(url, decode_responses=True)

    def seqs(self) -> list[tuple[str, int]]:
        entries = self._client.xrange(f"{self._prefix}events:{JOB}")
        return [(fields["agent_id"], int(fields["seq"])) for _, fields in entries]

    def status(self, job: str = JOB) -> dict[str, Any]:
        return decode_hash("status", self._client.hgetall(f"{self._prefix}status:{job}"))

    def close(self) -> None:
        self._client.close()


@pytest.fixture
def bus(redis_server, key_prefix):
    bus = Bus(redis_server.url, key_prefix)
    yield bus
    bus.close()


def no_pause(pause_s: float) -> None:
    assert 0 <= pause_s <= 10


def replay(directory: Path, bus: Bus, **more: Any):
    return list(Replay(bus.settings, pause=no_pause, **more).run(find(directory)))


def leave(
    root: Path, prefix: str, agent: str = AGENT, events: int = 5, *, base_ms: int | None = None
) -> None:
    """Leave the outbox of a killed agent; with a base if it had reached the bus once."""
    outbox = box(root, agent)
    publish(outbox, agent, events)
    if base_ms is not None:
        outbox.set_base_ms(base_ms)
    crash(outbox)
    metadata = root / JOB / agent / "outbox.json"
    metadata.write_text(metadata.read_text().replace('"baqup:"', json.dumps(prefix)))


def publish(outbox: Outbox, agent: str, events: int) -> None:
    for seq in range(1, events + 1):
        outbox.append("event", "warn", to_json(event(stamp(seq, agent=agent)).to_wire()))
    made = status(stamp(events + 1, agent=agent))
    outbox.append("status", "info", to_json(made.to_wire()))


def orphan(directory: Path, *, job: str = JOB, at_s: float = 50) -> Path:
    """Write an orphan status into a job's directory of staging."""
    made = status(stamp(9, at_s=at_s, job=job))
    directory.mkdir(parents=True)
    path = directory / ".baqup-status.json"
    path.write_text(to_json(made.to_wire()))
    return path


def test_outboxes_are_published_oldest_first_and_then_removed(tmp_path, bus, key_prefix):
    """Events in order, the latest status, and nothing is left on disk."""
    leave(tmp_path / "fallback", key_prefix, "agent-b", 700)
    leave(tmp_path / "fallback", key_prefix, "agent-a", 3)
    (first, second) = replay(tmp_path / "fallback", bus)

    assert (first.agent_id, first.result, first.events, first.statuses) == (
        "agent-b",
        PUBLISHED,
        700,
        1,
    )
    assert (second.agent_id, second.result, second.events) == ("agent-a", PUBLISHED, 3)
    assert bus.seqs() == [("agent-b", n) for n in range(1, 701)] + [
        ("agent-a", n) for n in range(1, 4)
    ]
    assert bus.status()["agent_id"] == "agent-b"
    assert list((tmp_path / "fallback").iterdir()) == []


@pytest.mark.parametrize("level", ["", JOB, f"{JOB}/{AGENT}"])
def test_a_directory_may_be_named_at_any_level(tmp_path, bus, key_prefix, level):
    """All outboxes, one job's, or one agent's; also by a link."""
    leave(tmp_path / "fallback", key_prefix)
    (tmp_path / "link").symlink_to(tmp_path / "fallback" / level)
    (outcome,) = replay(tmp_path / "link", bus)

    assert (outcome.job_id, outcome.agent_id, outcome.result) == (JOB, AGENT, PUBLISHED)
    assert len(bus.seqs()) == 5


def test_looking_sends_nothing_and_changes_nothing(tmp_path, key_prefix):
    """What it tells is what a replay would send."""
    leave(tmp_path / "fallback", key_prefix)
    orphan(tmp_path / "fallback" / OTHER, job=OTHER)
    before = {path: path.stat().st_mtime_ns for path in sorted(tmp_path.rglob("*"))}
    box_outcome, status_outcome = map(look, find(tmp_path / "fallback"))

    assert (box_outcome.result, box_outcome.events, box_outcome.statuses) == (FOUND, 5, 1)
    assert box_outcome.size_bytes > 1000
    assert (status_outcome.job_id, status_outcome.result, status_outcome.statuses) == (
        OTHER,
        FOUND,
        1,
    )
    assert {path: path.stat().st_mtime_ns for path in sorted(tmp_path.rglob("*"))} == before


def test_a_live_outbox_is_left_alone(tmp_path, bus):
    """Its process sends it by itself."""
    outbox = box(tmp_path)
    publish(outbox, AGENT, 3)
    (outcome,) = replay(tmp_path, bus)

    assert outcome.result == ALIVE
    assert bus.seqs() == []
    assert look(find(tmp_path)[0]).result == ALIVE
    outbox.close()


class Faltering:
    """A real transport of which some calls fail after they took effect."""

    def __init__(self, real: Transport, fails: Sequence[bool]) -> None:
        self._real = real
        self._fails = list(fails)
        self.display = real.display
        self.connect = real.connect
        self.close = real.close
        self.top_ms = real.top_ms
        self.newest = real.newest

    def send(self, message: Wire) -> bool:
        counts = self._real.send(message)
        self._falter()
        return counts

    def append(self, events: Sequence[Wire], base_ms: int = 0) -> int:
        taken = self._real.append(events, base_ms)
        self._falter()
        return taken

    def _falter(self) -> None:
        if self._fails and self._fails.pop(0):
            raise BusUnavailable("the answer was lost")


def test_an_answer_that_is_lost_doubles_nothing(tmp_path, bus, key_prefix):
    """The same batch is sent again, and recognised."""
    leave(tmp_path, key_prefix, events=600)

    def falter(settings: BusSettings, job_id: str) -> Faltering:
        return Faltering(open_transport(settings, job_id), [True, True, False, True, False, True])

    (outcome,) = replay(tmp_path, bus, open_bus=falter)
    assert outcome.result == PUBLISHED
    assert bus.seqs() == [(AGENT, n) for n in range(1, 601)]


def test_a_replay_that_broke_off_is_continued_by_the_next(tmp_path, bus, key_prefix):
    """What the bus took before is not doubled, and the rest follows in order."""
    leave(tmp_path, key_prefix, events=1200)
    leave(tmp_path, key_prefix, "agent-later", events=1)

    def give_up(settings: BusSettings, job_id: str) -> Faltering:
        return Faltering(open_transport(settings, job_id), [False, *[True] * 50])

    courier = Replay(bus.settings, open_bus=give_up, pause=no_pause)
    first, second = courier.run(find(tmp_path))
    assert (first.result, second.result) == (WAITING, WAITING)
    assert courier.outage == "the answer was lost"
    assert (tmp_path / JOB / AGENT).exists()
    assert 500 <= len(bus.seqs()) < 1201

    assert [it.result for it in replay(tmp_path, bus)] == [PUBLISHED, PUBLISHED]
    assert bus.seqs() == [*((AGENT, n) for n in range(1, 1201)), ("agent-later", 1)]


def test_a_copy_of_an_outbox_can_be_replayed_without_doubling(tmp_path, bus, key_prefix):
    """The ids of events are decided once, and kept with the outbox."""
    leave(tmp_path / "fallback", key_prefix, base_ms=0)
    shutil.copytree(tmp_path / "fallback", tmp_path / "copy")
    replay(tmp_path / "fallback", bus)
    (outcome,) = replay(tmp_path / "copy", bus)

    assert outcome.result == PUBLISHED
    assert len(bus.seqs()) == 5


def test_an_unreachable_bus_costs_nothing(tmp_path, bus, key_prefix):
    """Everything waits where it is, and is told."""
    leave(tmp_path, key_prefix)
    path = orphan(tmp_path / OTHER, job=OTHER)
    away = evolve(bus.settings, url=Secret("redis://127.0.0.1:1/0"))
    courier = Replay(away, pause=no_pause)
    results = [it.result for it in courier.run(find(tmp_path))]

    assert results == [WAITING, WAITING]
    assert "127.0.0.1:1" in (courier.outage or "")
    assert path.exists()
    assert [it.result for it in replay(tmp_path, bus)] == [PUBLISHED, PUBLISHED]
    assert len(bus.seqs()) == 5


def test_refused_credentials_are_an_error_and_keep_everything(tmp_path, start_server):
    """They are the configuration's fault."""
    leave(tmp_path, "baqup:")
    server = start_server("--requirepass", "secret")
    with pytest.raises(BusRefused):
        list(Replay(BusSettings(url=Secret(server.url)), pause=no_pause).run(find(tmp_path)))

    assert look(find(tmp_path)[0]).events == 5


@pytest.mark.parametrize("remove", [False, True])
def test_status_files_are_published_and_kept_unless_asked(tmp_path, bus, remove):
    """A controller may be looking for them; from a staging root or a job's directory."""
    path = orphan(tmp_path / "staging" / JOB)
    (in_root,) = replay(tmp_path / "staging", bus)
    (in_job,) = replay(tmp_path / "staging" / JOB, bus, remove_status=remove)

    assert (in_root.result, in_job.result, in_job.agent_id) == (PUBLISHED, PUBLISHED, AGENT)
    assert bus.status()["status"] == "success"
    assert path.exists() == (not remove)


def test_a_newer_status_on_the_bus_is_not_overwritten(tmp_path, bus, key_prefix):
    """Whatever is older counts as published, because the bus knows better."""
    orphan(tmp_path / "newer" / JOB, at_s=100)
    orphan(tmp_path / "older" / JOB, at_s=50)
    leave(tmp_path / "fallback", key_prefix)
    for name in ("newer", "older", "fallback"):
        assert [it.result for it in replay(tmp_path / name, bus)] == [PUBLISHED]

    assert bus.status()["timestamp"] == status(stamp(9, at_s=100)).to_wire()["timestamp"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no JSON"),
        (b"{", "no JSON"),
        (b"[]", "no"),
        (b'{"type":"status"}', ""),
        (b"\xff\xfe", "no JSON"),
        (to_json(status(stamp(1, job=OTHER)).to_wire()).encode(), "another job"),
        (to_json(event(stamp(1)).to_wire()).encode(), "it is a event"),
    ],
)
def test_a_status_file_that_holds_no_status_is_told_and_kept(tmp_path, bus, content, why):
    """It is never sent."""
    path = orphan(tmp_path / JOB)
    path.write_bytes(content)
    (outcome,) = replay(tmp_path, bus, remove_status=True)

    assert (outcome.result, outcome.corrupt) == (UNUSABLE, 1)
    assert why in (outcome.problem or "")
    assert path.exists()


def test_a_status_file_is_not_read_through_a_link(tmp_path, bus):
    """It could lead to anything."""
    path = orphan(tmp_path / "elsewhere")
    (tmp_path / "staging" / JOB).mkdir(parents=True)
    (tmp_path / "staging" / JOB / path.name).symlink_to(path)
    (outcome,) = replay(tmp_path / "staging", bus)

    assert outcome.result == UNUSABLE


def test_damaged_records_are_skipped_and_counted(tmp_path, bus, key_prefix):
    """The others arrive."""
    leave(tmp_path, key_prefix)
    segment = tmp_path / JOB / AGENT / "00000001.jsonl"
    lines = segment.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(b"FILE", b"FILL")
    segment.write_bytes(b"".join(lines))
    (outcome,) = replay(tmp_path, bus)

    assert (outcome.result, outcome.corrupt, outcome.events) == (PUBLISHED, 1, 4)
    assert bus.seqs() == [(AGENT, n) for n in (1, 2, 4, 5)]


def test_a_message_that_no_bus_takes_holds_up_no_other(tmp_path, bus, key_prefix):
    """It is given up, and counted."""

    class Picky(Faltering):
        def append(self, events: Sequence[Wire], base_ms: int = 0) -> int:
            if any(event["seq"] == 3 for event in events):
                raise MessageRejected("not this one")
            return super().append(events, base_ms)

    leave(tmp_path, key_prefix)
    (outcome,) = replay(
        tmp_path, bus, open_bus=lambda settings, job: Picky(open_transport(settings, job), [])
    )

    assert (outcome.result, outcome.rejected) == (PUBLISHED, 1)
    assert outcome.problem == "given up: record 3: MessageRejected: not this one"
    assert bus.seqs() == [(AGENT, n) for n in (1, 2, 4, 5)]


ODD = [
    '{"type":"event"}',
    '{"type":"event","job_id":"j" broken',
    '{"type":"event","x":' + "[" * 100_000 + "]" * 100_000 + "}",
    '{"type":"status","seq":1}',
    '{"type":"status","job_id":"j","agent_id":"dead","seq":1,"timestamp":5}',
]


@pytest.mark.parametrize("text", ODD, ids=lambda text: text[:40])
def test_a_record_of_which_nothing_can_be_made_holds_up_no_other(tmp_path, bus, key_prefix, text):
    """It is given up or skipped; the other messages and the other outboxes arrive."""
    odd = box(tmp_path, "agent-odd")
    for seq in (1, 2):
        odd.append("event", "warn", to_json(event(stamp(seq, agent="agent-odd")).to_wire()))
        if seq == 1:
            odd.append("status" if "status" in text else "event", "warn", text)
    crash(odd)
    leave(tmp_path, key_prefix)
    first, second = replay(tmp_path, bus, key_prefix=key_prefix)

    assert (first.result, first.corrupt + first.rejected) == (PUBLISHED, 1)
    assert first.corrupt or "given up: record " in (first.problem or "")
    assert second.result == PUBLISHED
    assert sorted(bus.seqs()) == sorted(
        [("agent-odd", 1), ("agent-odd", 2), *((AGENT, n) for n in range(1, 6))]
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("fault", "result"), [(ValueError("odd"), PUBLISHED), (OSError(24, "too many"), WAITING)]
)
def test_trouble_with_one_outbox_holds_up_no_other(
    tmp_path, bus, key_prefix, monkeypatch, fault, result
):
    """What cannot be made sense of is given up; what cannot be read now is kept for later."""
    leave(tmp_path, key_prefix, "agent-a", events=1)
    leave(tmp_path, key_prefix, "agent-b", events=1)
    sources = find(tmp_path)
    if result == WAITING:
        real = Outbox.read

        def read(self: Outbox, most: int, most_bytes: int):
            if self.identity.agent_id == "agent-a":
                raise fault
            return real(self, most, most_bytes)

        monkeypatch.setattr(Outbox, "read", read)

    class Odd(Faltering):
        def append(self, events: Sequence[Wire], base_ms: int = 0) -> int:
            if events[0]["agent_id"] == "agent-a":
                raise fault
            return super().append(events, base_ms)

    courier = Replay(
        bus.settings,
        open_bus=lambda settings, job: Odd(open_transport(settings, job), []),
        pause=no_pause,
    )
    first, second = courier.run(sources)

    assert (first.result, second.result, courier.outage) == (result, PUBLISHED, None)
    assert ("odd" if result == PUBLISHED else "too many") in (first.problem or "")
    assert bus.seqs() == [("agent-b", 1)]
    assert (tmp_path / JOB / "agent-a").exists() == (result == WAITING)


def test_the_prefix_of_keys_is_the_outboxs_own_unless_another_is_given(tmp_path, bus, key_prefix):
    """An agent's keys stay its own, whatever the environment of the replay says."""
    leave(tmp_path / "a", key_prefix)
    leave(tmp_path / "b", "elsewhere:", "another")
    odd = evolve(bus.settings, key_prefix="odd:")
    list(Replay(odd, pause=no_pause).run(find(tmp_path / "a")))
    assert len(bus.seqs()) == 5

    list(Replay(odd, pause=no_pause, key_prefix=key_prefix).run(find(tmp_path / "b")))
    assert len(bus.seqs()) == 10


def test_an_outbox_that_cannot_be_entered_does_not_hide_the_others(tmp_path, bus, key_prefix):
    """It is told."""
    leave(tmp_path, key_prefix)
    (tmp_path / JOB / "odd").mkdir()
    (tmp_path / JOB / "odd" / "outbox.json").write_text("{}")
    (tmp_path / JOB / "odd" / "lock").mkdir()
    odd, good = sorted(replay(tmp_path, bus), key=lambda it: it.result, reverse=True)

    assert (odd.result, odd.path) == (UNUSABLE, tmp_path / JOB / "odd")
    assert good.result == PUBLISHED


@pytest.mark.parametrize("name", ["absent", "file"])
def test_what_is_no_directory_is_bad_input(tmp_path, name):
    """One line, with the remedy."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"cannot be searched: .*; name a fallback directory"):
        find(tmp_path / name)
