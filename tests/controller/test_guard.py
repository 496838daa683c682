"""A run that watches over its agent's life: real processes, the contract's times made short."""

from __future__ import annotations

import os
import signal

from baqup_agent.controller import Outcome, Patience
from tests.controller.runs import Recorder, is_alive, run, until

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
