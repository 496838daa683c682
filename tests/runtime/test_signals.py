"""Signals to real processes, in every state (Contract §1)."""

from __future__ import annotations

import signal
import time
import uuid
from pathlib import Path

import pytest

from baqup_agent.contract import CANCEL_GRACE_S
from tests.agent_process import AgentProcess, alive
from tests.runtime.conftest import SLOW_ACTOR, Act
from tests.waiting import eventually

TERM, INT, USR1 = signal.SIGTERM, signal.SIGINT, signal.SIGUSR1

#: What ends an aborted run at the latest: the grace, the report, and room for a loaded machine.
ABORT_S = CANCEL_GRACE_S + 2 + 8


def assert_aborted(run: AgentProcess) -> None:
    assert run.wait(ABORT_S) == 1
    assert run.status["error"]["code"] == "ABORTED"
    assert run.status["error"]["category"] == "transient"
    assert run.status["error"]["retriable"] is True
    assert run.log[-1]["context"]["exit_code"] == 1
    assert run.manifest is None
    assert run.states[-1] == "failed"


@pytest.mark.parametrize("signum", [TERM, INT])
@pytest.mark.parametrize(
    "name", ["heed", "write-on", "swallow", "deaf-in-c", "deaf-in-python", "child", "own-child"]
)
def test_a_stop_signal_in_running_aborts(act: Act, name: str, signum: signal.Signals) -> None:
    """Whatever the author's code does, the run ends with ABORTED, exit 1, and leaves no child."""
    nap = f"3600.{uuid.uuid4().int % 10**9}"
    run = act(name, environ={"NAP": nap})
    run.wait_for_log("act begun")
    if "child" in name:
        eventually(lambda: list(alive(nap)))

    run.signal(signum)

    assert_aborted(run)
    assert list(alive(nap)) == []


def test_a_second_signal_changes_nothing(act: Act) -> None:
    """One shutdown, never entered again: one status, one code."""
    run = act("deaf-in-c")
    run.wait_for_log("act begun")

    for signum in (TERM, INT, TERM, INT):
        run.signal(signum)

    assert_aborted(run)
    assert [line["message"] for line in run.log].count("running -> failed") == 1


@pytest.mark.parametrize("signum", [TERM, INT])
def test_a_stop_signal_in_initializing_aborts(
    act: Act, tmp_path: Path, signum: signal.Signals
) -> None:
    """The work never begins."""
    run = act("write", program=SLOW_ACTOR, environ={"HOLD_PREPARE": str(tmp_path / "go")})
    run.wait_for_log("held in prepare")

    run.signal(signum)
    (tmp_path / "go").touch()

    assert_aborted(run)
    assert run.states == ["initializing", "failed"]


@pytest.mark.parametrize("signum", [TERM, INT])
def test_a_stop_signal_in_completing_lets_it_finish(
    act: Act, tmp_path: Path, signum: signal.Signals
) -> None:
    """The move is finished, the status reported, and the code is 0."""
    run = act("write", program=SLOW_ACTOR, environ={"HOLD_PUBLISH": str(tmp_path / "go")})
    run.wait_for_log("held in publish")

    run.signal(signum)
    run.signal(signum)
    (tmp_path / "go").touch()

    assert run.wait() == 0
    assert run.status["status"] == "success"
    assert run.manifest is not None


def assert_probe_answered(run: AgentProcess, state: str) -> None:
    eventually(lambda: state in run.states)
    before = len(run.of("heartbeat"))

    began_s = time.monotonic()
    run.signal(USR1)
    eventually(lambda: len(run.of("heartbeat")) > before)

    assert time.monotonic() - began_s < 1.0
    assert run.of("heartbeat")[-1]["state"] == state
    assert run.process.poll() is None


RARE_BEATS = {"BAQUP_AGENT_HEARTBEAT_INTERVAL": "600"}


@pytest.mark.parametrize("name", ["heed", "deaf-in-c", "deaf-in-python"])
def test_a_probe_in_running_is_answered(act: Act, name: str) -> None:
    """A beat comes within a second of SIGUSR1, also while the code computes or blocks in C."""
    run = act(name, environ=RARE_BEATS)
    run.wait_for_log("act begun")

    for _ in range(3):
        assert_probe_answered(run, "running")


@pytest.mark.parametrize(
    ("name", "step", "state"),
    [
        ("write", "prepare", "initializing"),
        ("write", "publish", "completing"),
        ("raise-data", "remove", "failed"),
    ],
)
def test_a_probe_in_every_other_state_is_answered(
    act: Act, tmp_path: Path, name: str, step: str, state: str
) -> None:
    """A beat with the state comes within a second, though the driver itself is held up."""
    gate = tmp_path / "go"
    environ = {
        **RARE_BEATS,
        f"HOLD_{step.upper()}": str(gate),
        "BAQUP_ARTIFACT_RETAIN_ON_FAILURE": "false",
    }
    run = act(name, program=SLOW_ACTOR, environ=environ)
    run.wait_for_log(f"held in {step}")

    for _ in range(3):
        assert_probe_answered(run, state)
    gate.touch()

    assert run.wait() == (65 if state == "failed" else 0)


def test_a_hundred_probes_do_no_harm(act: Act) -> None:
    """The run goes on and still ends as it should."""
    run = act("heed")
    run.wait_for_log("act begun")

    for _ in range(100):
        run.signal(USR1)
    assert_probe_answered(run, "running")
    run.signal(TERM)

    assert_aborted(run)


@pytest.mark.parametrize("delay_ms", range(0, 400, 40))
def test_a_stop_signal_at_any_moment_gives_all_or_nothing(act: Act, delay_ms: int) -> None:
    """Swept over the life of a run: 0 with a manifest, or 1 without; killed only before Python."""
    run = act("write")
    time.sleep(delay_ms / 1000)  # the sweep itself: each case is another moment
    if run.process.poll() is None:
        run.signal(TERM)

    code = run.wait(ABORT_S)

    if code == 0:
        assert run.manifest is not None
        assert run.status["status"] == "success"
    elif code == 1:
        assert run.manifest is None
        assert run.status["error"]["code"] == "ABORTED"
    else:
        assert code == -TERM
        assert run.log == []


def test_signals_after_the_end_change_nothing(act: Act) -> None:
    """Once the run has ended its code stands, however late the process itself goes."""
    run = act("write")
    run.wait_for_log("run ended")

    while run.process.poll() is None:
        for signum in (TERM, INT, USR1):
            run.signal(signum)

    assert run.wait() == 0
    assert run.status["status"] == "success"


def test_sigkill_takes_the_children_along(act: Act) -> None:
    """The guardian ends them, grandchildren and those in sessions of their own too."""
    for name in ("child", "own-child"):
        nap = f"3600.{uuid.uuid4().int % 10**9}"
        run = act(name, environ={"NAP": nap})
        eventually(lambda nap=nap: list(alive(nap)))

        run.signal(signal.SIGKILL)
        run.wait()

        eventually(lambda nap=nap: not list(alive(nap)))


def test_a_child_left_behind_ends_with_a_good_run(act: Act) -> None:
    """A run that succeeds leaves nothing running either."""
    nap = f"3600.{uuid.uuid4().int % 10**9}"
    run = act("orphan", environ={"NAP": nap})

    assert run.wait() == 0
    assert list(alive(nap)) == []
