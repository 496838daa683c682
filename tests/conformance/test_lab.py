"""What a check is handed: runs that it drives, sees, and leaves nothing of."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from baqup_agent.conformance.verdicts import CannotJudge, NotApplicable, Violation
from tests.waiting import eventually


def test_a_run_is_seen_in_states_messages_files_and_end(lab):
    """One run's timeline tells what every witness saw, in the order of one clock."""

    run = lab.run()

    assert run.exit_code() == 0
    assert run.states() == ["initializing", "running", "completing", "terminated"]
    assert run.output_faults() == []
    assert run.status()["status"] == "success"
    assert run.status()["files"][0]["path"] == "data.tar"
    assert run.orphan_status() is None
    kinds = [one.kind for one in run.timeline.entries()]
    assert kinds[0] in ("start", "bus")
    assert {"start", "state", "message", "file", "stderr", "exit"} <= set(kinds)
    moments = [one.at_s for one in run.timeline.entries()]
    assert moments == sorted(moments)
    moved = [one.data[1] for one in run.timeline.entries("file") if one.data[0] == "moved here"]
    assert moved == [f"{run.job_id}/data.tar", f"{run.job_id}/manifest.json"]


def test_a_signal_is_sent_in_the_state_that_was_waited_for(lab):
    """SIGTERM in running ends the run with the abort's code and no manifest."""

    run = lab.run(fixture="slow")
    run.wait_for(state="running")
    run.signal(signal.SIGTERM)

    assert run.exit_code(within_s=30) == 1
    assert run.manifest() is None
    assert run.status()["error"]["code"] == "ABORTED"
    assert [one.text for one in run.timeline.entries("signal")] == ["SIGTERM"]


def test_messages_are_seen_where_they_are_told_and_where_they_are_kept(lab):
    """Every message is announced once and stored once, and counted once."""

    run = lab.run()
    run.exit_code()

    assert len(run.messages("status", channel="notify")) == 1
    assert len(run.messages("status", channel="stored")) == 1
    assert len(run.messages("status")) == 1
    assert run.messages("status", channel="stored")[0].ttl_s == pytest.approx(86400, abs=60)
    assert run.messages("heartbeat", channel="stored")[0].ttl_s == pytest.approx(30, abs=2)


def test_an_absent_bus_can_come_back(lab):
    """The line is refused at first and flows later; the work's messages arrive then."""

    run = lab.run(bus="absent", fixture="slow")
    run.wait_for_log("now running")
    assert run.messages() == []
    run.bus.flow()

    run.wait_for(state="running")
    assert run.exit_code() == 0
    assert [one.text for one in run.timeline.entries("bus")] == ["refuse", "flow"]


def test_a_bus_that_stays_away_leaves_an_orphan_status(lab):
    """Without a bus the job completes, and its status is found on disk."""

    run = lab.run(bus="absent")

    assert run.exit_code(within_s=30) == 75
    assert run.orphan_status()["status"] == "success"
    assert run.output_faults() == []
    assert run.status() is None


def test_what_an_agent_leaves_running_is_found_and_killed(lab_of, tmp_path):
    """A grandchild in a session of its own, whose parents are gone, is seen and ended."""

    program = tmp_path / "agent.sh"
    program.write_text(
        "#!/bin/sh\nsetsid sh -c 'setsid sleep 1234 & echo $! >$HOME/pid; sleep 1234' "
        ">/dev/null 2>&1 &\nexit 0\n"
    )
    program.chmod(0o755)
    lab = lab_of(str(program))
    run = lab.run("snapshot")
    assert run.exit_code() == 0
    eventually((run.place.home / "pid").is_file)

    left = {
        one.pid for one in eventually(lambda: [s for s in run.survivors() if "1234" in s.command])
    }
    run.close()
    assert left
    assert not [pid for pid in left if Path(f"/proc/{pid}").exists()]


def test_an_agent_that_ignores_everything_is_killed(lab_of, tmp_path):
    """A program that ignores SIGTERM and floods stderr takes bounded time and memory."""

    program = tmp_path / "flood.py"
    program.write_text(
        "import os, signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "while True: os.write(2, b'x' * 65535 + b'\\n')\n"
    )
    lab = lab_of(sys.executable, str(program))
    run = lab.run("snapshot")
    run.wait_for_log("xxx")
    pid = run.pid

    with pytest.raises(Violation, match="did not end within"):
        run.exit_code(within_s=0.5)
    run.close()
    assert not Path(f"/proc/{pid}").exists()
    assert len(run.stderr) <= 8 << 20
    assert len(run.timeline.entries("stderr")) <= 2_000


def test_an_agent_runs_as_process_one(lab_of):
    """In a namespace of its own the agent is process 1, as in a container."""

    lab = lab_of(
        sys.executable, "-c", "import os; print(os.getpid(), os.listdir('/proc').count('1'))"
    )

    try:
        run = lab.run("snapshot", pid1=True)
    except NotApplicable as reason:
        pytest.skip(str(reason))
    assert run.exit_code() == 0
    assert run.stdout.split() == ["1", "1"]


def test_a_command_that_cannot_be_started_is_no_violation(lab_of, tmp_path):
    """A program without an interpreter is an error of the suite's user."""

    program = tmp_path / "agent"
    program.write_text("#!/no/such/interpreter\n")
    program.chmod(0o755)
    lab = lab_of(str(program))
    before = threading.active_count()

    with pytest.raises(CannotJudge, match="cannot be started"):
        lab.run("snapshot", bare=True)
    assert threading.active_count() == before


def test_a_line_is_in_one_of_the_known_states(lab):
    """A check that asks for another is a mistake of the suite, told with what there is."""

    with pytest.raises(CannotJudge, match="up, absent, stalled, dropping"):
        lab.run("snapshot", bus="muddled")


def test_an_agent_is_asked_once(lab_of, tmp_path):
    """What it says of itself is kept for all that ask after the first, failures too."""

    program = tmp_path / "agent.sh"
    program.write_text(f'#!/bin/sh\necho "$1" >>{tmp_path}/asked\necho "{{}}"\n[ "$1" = --info ]\n')
    program.chmod(0o755)
    lab = lab_of(str(program))

    assert [lab.agent.info(), lab.agent.info(), lab.agent.text("--no"), lab.agent.text("--no")] == [
        {}, {}, None, None
    ]  # fmt: skip
    assert (tmp_path / "asked").read_text().split() == ["--info", "--no"]
    assert lab.runs == []


def test_a_missing_fixture_is_not_applicable(lab):
    """A behaviour that conform.toml does not describe is said to be missing by its name."""

    with pytest.raises(NotApplicable, match=r"\[fixtures.stall\]"):
        lab.run(fixture="stall")


def test_waiting_ends_when_the_agent_does(lab):
    """A state that never comes is not waited for once the agent has ended."""

    run = lab.run(env={"BAQUP_JOB_TIMEOUT": "three"})
    began_s = time.monotonic()

    with pytest.raises(Violation, match=r"ended \(exit code 64\) before the state running"):
        run.wait_for(state="running", within_s=60)
    assert time.monotonic() - began_s < 30


def test_the_same_seed_draws_the_same_moments(lab_of):
    """Two labs of one seed and one check agree on every moment."""

    first, second = lab_of(), lab_of()

    moments = first.offsets(0.5, 10)
    assert moments == second.offsets(0.5, 10)
    assert [int(moment / 0.05) for moment in moments] == list(range(10))


def test_an_agent_sees_nothing_of_the_caller(lab_of, monkeypatch):
    """Of the caller's variables only those that programs need are passed on."""

    monkeypatch.setenv("BAQUP_SECRET_OF_THE_CALLER", "hidden")
    lab = lab_of(sys.executable, "-c", "import os; print(*os.environ)")

    seen = lab.call(bare=True).stdout.split()
    assert "PATH" in seen
    assert not [name for name in seen if name.startswith("BAQUP_")]
    assert os.environ["BAQUP_SECRET_OF_THE_CALLER"] == "hidden"


def test_nothing_is_left_on_disk(lab_of):
    """When a lab is closed, the directories of its runs are gone."""

    lab = lab_of()
    run = lab.run()
    run.exit_code()
    root = run.place.root

    assert root.is_dir()
    lab.close()
    assert not root.exists()
