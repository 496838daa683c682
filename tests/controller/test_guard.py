"""A run that watches over its agent's life: real processes, the contract's times made short."""

from __future__ import annotations

import os
import signal
from typing import Any, cast

import pytest
from attrs import define, field

from baqup_agent.controller import Outcome, Patience
from baqup_agent.controller.guard import LifeGuard
from baqup_agent.controller.launch import AgentProcess
from baqup_agent.controller.messages import read_message
from tests.bus.samples import HandClock
from tests.controller.runs import Recorder, is_alive, run, until
from tests.controller.wire import message

#: A tenth of the contract's times and less; a loaded machine still beats in time.
SHORT = Patience(late_s=1.0, presumed_dead_s=2.0, probe_s=0.5, ceiling_s=60.0)


def test_an_agent_that_is_stopped_is_probed_and_killed(tmp_path):
    """SIGSTOP: it is there, and does nothing any more; only SIGKILL still reaches it."""
    gate = tmp_path / "gate"
    stopped: list[int] = []

    class Stops(Recorder):
        def message(self, message, picture):
            super().message(message, picture)
            if len(self.messages) == 3:
                os.kill(self.pids[0], signal.SIGSTOP)
                stopped.append(self.pids[0])

    recorder = Stops()
    variables = {"GATE": str(gate)}
    report = run(
        "beats_until_gate", tmp_path / "out", recorder, variables=variables, patience=SHORT
    )

    assert stopped == recorder.pids
    assert not is_alive(stopped[0])
    assert report.exit.signal == signal.SIGKILL
    assert report.verdict.outcome is Outcome.LOST
    told = [note for note in report.notes if "no heartbeat" in note]
    assert [note.rpartition(": ")[2] for note in told] == ["probed by SIGUSR1", "killed by SIGKILL"]


def test_an_agent_that_answers_its_probes_lives(tmp_path):
    """However seldom it beats by itself."""
    report = run("answers_probes", tmp_path, patience=Patience(0.2, 0.5, 20.0, 60.0))

    assert report.verdict.outcome is Outcome.SUCCESS
    assert sum("probed" in note for note in report.notes) == 3
    assert not any("killed" in note for note in report.notes)


def test_an_agent_that_beats_is_left_alone(tmp_path):
    """For longer than its patience lasts."""
    gate = tmp_path / "gate"

    class Opens(Recorder):
        def message(self, message, picture):
            super().message(message, picture)
            if picture.beats == 60:
                gate.touch()

    report = run(
        "beats_until_gate",
        tmp_path / "out",
        Opens(),
        variables={"GATE": str(gate)},
        patience=SHORT,
    )

    assert report.verdict.outcome is Outcome.SUCCESS
    assert report.notes == ()


def test_without_patience_nobody_is_probed(tmp_path):
    """Under a debugger an agent may stand still for hours."""
    gate = tmp_path / "gate"

    class Stops(Recorder):
        def message(self, message, picture):
            super().message(message, picture)
            if len(self.messages) == 3:
                os.kill(self.pids[0], signal.SIGSTOP)

        def tick(self, picture):
            super().tick(picture)
            if self.ticks == 30:  # 3 s and more, longer than the others get
                gate.touch()
                os.kill(self.pids[0], signal.SIGCONT)

    report = run(
        "beats_until_gate",
        tmp_path / "out",
        Stops(),
        variables={"GATE": str(gate)},
        patience=None,
    )

    assert report.verdict.outcome is Outcome.SUCCESS
    assert report.notes == ()


def test_a_bus_that_is_away_condemns_nobody(tmp_path, start_server):
    """Silence says nothing then; the agent works on, and ends well."""
    server = start_server()
    gate = tmp_path / "gate"

    class Opens(Recorder):
        def tick(self, picture):
            super().tick(picture)
            if self.ticks == 30:
                gate.touch()

    server.stop()
    recorder = Opens()
    url = f"redis://127.0.0.1:{server.port}/0"
    report = run(
        "beats_until_gate",
        tmp_path / "out",
        recorder,
        bus=url,
        variables={"GATE": str(gate), "BUS_FILE": str(tmp_path / "unseen")},
        patience=SHORT,
    )

    assert report.exit.code == 0
    assert not any("no heartbeat" in note for note in report.notes)
    until(lambda: not is_alive(recorder.pids[0]), "the agent's end")


def test_two_agents_on_one_job_are_told(tmp_path):
    """One of them may be an earlier attempt's that never ended."""
    recorder = Recorder()
    report = run("two_agents", tmp_path, recorder)

    assert any("two agents report on this job" in note for note in report.notes)


@define(slots=False)
class Watch:
    """A guard with a clock that is moved by hand, and the signals that it sends."""

    clock: HandClock = field(factory=HandClock)
    sent: list[str] = field(factory=list)
    seq: int = 0

    def __attrs_post_init__(self) -> None:
        self.guard = LifeGuard(Patience(), self.clock)

    def hear(self, kind: str, agent_id: str | None, *, age_s: float = 0.0, **members: Any) -> None:
        self.seq += 1
        wire = message(kind, self.seq, **{"agent_id": agent_id, **members})
        known = {"age_s": age_s} if kind == "heartbeat" else {}
        list(self.guard.take(read_message(wire, **known)))

    def send(self, number: signal.Signals) -> bool:
        self.sent.append(number.name)
        return True

    def wait(self, seconds: float) -> list[str]:
        """Let time go by; returns the signals that were sent in it."""
        self.sent.clear()
        for _ in range(round(seconds)):
            self.clock.advance(1.0)
            list(self.guard.look(cast("AgentProcess", self), seeing=True))
        return list(self.sent)


@pytest.mark.parametrize("when", ["before the first beat", "after it"])
def test_the_status_of_a_dead_agent_ends_no_watching(when):
    """The living one sends it, and is then silent."""
    watch = Watch()
    if when == "after it":
        watch.hear("heartbeat", "ours")
    watch.hear("status", "dead", status="failed")
    if when != "after it":
        watch.hear("heartbeat", "ours")

    assert watch.wait(700) == ["SIGUSR1", "SIGKILL"]


@pytest.mark.parametrize("agent_id", ["ours", None])
def test_the_status_of_the_runs_agent_ends_the_watching(agent_id):
    """One that names no agent is taken to be its."""
    watch = Watch()
    watch.hear("heartbeat", "ours")
    watch.hear("status", agent_id, status="success")

    assert watch.wait(700) == []


def test_the_beats_of_another_agent_do_not_hide_its_silence():
    """They say nothing about the process that was started."""
    watch = Watch()
    watch.hear("heartbeat", "ours")
    sent = []
    for _ in range(12):
        sent += watch.wait(3)
        if "SIGUSR1" not in sent:
            watch.hear("heartbeat", "another")

    assert sent == ["SIGUSR1", "SIGKILL"]


def test_whoever_answers_the_probe_is_the_runs_agent():
    """An earlier attempt's agent beat first, and has gone; the one that was asked lives."""
    watch = Watch()
    watch.hear("heartbeat", "earlier")
    watch.hear("heartbeat", "ours")
    assert watch.wait(32) == ["SIGUSR1"]
    watch.hear("heartbeat", "ours")
    assert watch.wait(29) == []

    assert watch.wait(6) == ["SIGUSR1", "SIGKILL"]


def test_a_beat_from_before_the_start_is_not_the_runs_agents():
    """An earlier attempt's heartbeat is still stored on the bus."""
    watch = Watch()
    watch.clock.advance(2.0)
    watch.hear("heartbeat", "earlier", age_s=20.0)
    watch.hear("heartbeat", "ours")
    watch.hear("status", "earlier", status="failed")

    assert watch.wait(700) == ["SIGUSR1", "SIGKILL"]
