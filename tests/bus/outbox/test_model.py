"""The outbox against a model of ten lines, in every order that hypothesis can think of."""

from __future__ import annotations

import errno
import shutil
import tempfile
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from baqup_agent.bus.outbox import Outbox, Sizes, adopt, open_outbox, segments
from tests.bus.outbox.boxes import SMALL, crash, message, numbers
from tests.bus.samples import AGENT, JOB


class OutboxMachine(RuleBasedStateMachine):
    """Appends, reads, acknowledges, rewinds, loses its disk, gets it back, and is killed."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="outbox-"))
        self.outbox: Outbox = self.open()
        self.patch = pytest.MonkeyPatch()
        self.seq = 0
        # What is not acknowledged, by number; how many of it were read; what is in memory only.
        self.kept: list[int] = []
        self.read = 0
        self.in_memory: set[int] = set()
        self.broken = False

    def open(self) -> Outbox:
        return open_outbox(self.root, job_id=JOB, agent_id=AGENT, key_prefix="", sizes=SMALL)

    @initialize(cached=st.sampled_from([0, 600, 20_000]))
    def choose(self, cached: int) -> None:
        self.outbox._unread._most_bytes = cached

    @rule(length=st.integers(120, 1800), status=st.booleans())
    def append(self, length: int, status: bool) -> None:
        kind = "status" if status else "event"
        before = self.outbox.last_ticket
        ticket = self.outbox.append(kind, "info", message(self.seq, kind=kind, length=length))
        assert ticket == before + 1
        self.kept.append(self.seq)
        if self.broken:
            self.in_memory.add(self.seq)
        self.seq += 1

    @rule(most=st.integers(1, 6), most_bytes=st.integers(1, 4000))
    def read_some(self, most: int, most_bytes: int) -> None:
        records = self.outbox.read(most, most_bytes)
        expected = self.kept[self.read : self.read + len(records)]
        assert numbers(records) == expected
        assert bool(records) == (self.read < len(self.kept))
        assert len(records) == 1 or sum(len(it.text) + 10 for it in records) <= most_bytes
        self.read += len(records)

    @rule(share=st.floats(0, 1))
    def acknowledge(self, share: float) -> None:
        count = round(share * len(self.kept))
        self.outbox.acknowledge(self.outbox.last_ticket - len(self.kept) + count)
        del self.kept[:count]
        self.read = max(0, self.read - count)

    @rule()
    def rewind(self) -> None:
        self.outbox.rewind()
        self.read = 0

    @rule()
    def sync(self) -> None:
        self.outbox.sync()
        if not self.broken:
            self.in_memory.clear()

    @rule()
    def break_disk(self) -> None:
        def fail(fd: int, data: bytes) -> int:
            raise OSError(errno.EIO, "Input/output error")

        self.patch.setattr(segments.os, "write", fail)
        self.broken = True

    @rule()
    def mend_disk(self) -> None:
        self.patch.undo()
        self.broken = False
        self.outbox.sync()
        self.in_memory.clear()

    @rule(by_adoption=st.booleans())
    def kill(self, by_adoption: bool) -> None:
        """What was in memory only is lost, but for the last status."""
        self.patch.undo()
        self.broken = False
        crash(self.outbox)
        if by_adoption:
            (self.outbox,) = adopt(self.root, JOB, "the-heir")
        else:
            self.outbox = self.open()
        left = numbers(self.outbox.read(10_000, 10_000_000))
        on_disk = [number for number in self.kept if number not in self.in_memory]
        assert left in (on_disk, on_disk + [n for n in self.kept if n in self.in_memory][-1:]) or (
            left[:-1] == on_disk and left[-1] in self.in_memory
        )
        assert self.outbox.corrupt == 0
        self.kept = left
        self.in_memory.clear()
        self.outbox.rewind()
        self.read = 0

    @invariant()
    def tells_what_it_holds(self) -> None:
        last = self.outbox.last_ticket
        assert self.outbox.holds_up_to(last) == bool(self.kept)
        if self.kept:
            assert not self.outbox.holds_up_to(last - len(self.kept))
            assert self.outbox.holds_up_to(last - len(self.kept) + 1)
        assert (self.outbox.used_bytes > 0) == bool(self.kept)

    def teardown(self) -> None:
        self.patch.undo()
        self.outbox.close()
        assert (self.root / JOB).exists() == bool(self.kept)
        shutil.rmtree(self.root)


def test_the_outbox_does_what_its_model_does(long):
    """Whatever happens in whatever order."""
    from hypothesis.stateful import run_state_machine_as_test

    effort = settings(max_examples=2000 if long else 40, stateful_step_count=40, deadline=None)
    run_state_machine_as_test(OutboxMachine, settings=effort)


def test_measures_are_positive():
    """The defaults, which the model replaces, are what the documentation says."""
    assert Sizes() == Sizes(
        64 << 20, 8 << 20, 1 << 20, 64 << 10, 1 << 20, 4096, 256 << 10, 64 << 10
    )
