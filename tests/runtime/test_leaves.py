"""Leaves of an author's own, in real runs: triggers, effects, deadlines, signals, the trace."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.agent_process import AgentProcess
from tests.runtime.conftest import Act
from tests.spec import assert_keeps

LEAFY = Path(__file__).parent / "leafy.py"


def moves(run: AgentProcess) -> list[str]:
    return [line["message"] for line in run.log if " -> " in line["message"]]


def test_a_run_moves_through_its_leaves(act: Act) -> None:
    """The author fires the triggers of running; those of completing are taken by themselves."""
    run = act("through", program=LEAFY)

    assert run.wait() == 0
    assert moves(run) == [
        "initializing -> running.dumping",
        "running.dumping -> running.sealing",
        "running.sealing -> running.resting",
        "running.resting -> completing.checking",
        "completing.checking -> completing.cataloguing",
        "completing.cataloguing -> terminated",
    ]
    effects = [line["message"] for line in run.log if line["message"].startswith("effect")]
    assert effects == [
        "effect +dumping", "effect -dumping", "effect +sealing", "effect +cataloguing",
    ]  # fmt: skip
    assert run.manifest is not None


def test_the_wire_shows_phase_and_leaf(act: Act) -> None:
    """`state` stays the contract's, the leaf travels as `substate`, its duration as intent."""
    run = act("linger", program=LEAFY)
    run.wait_for_log("act begun")
    run.wait_until(lambda: any(beat["state"] == "running" for beat in run.of("heartbeat")))
    run.signal(signal.SIGTERM)
    run.wait()

    beat = next(beat for beat in run.of("heartbeat") if beat["state"] == "running")
    assert beat["substate"] == "dumping"
    assert beat["intent"] == {
        "operation": "dumping", "expected_duration_seconds": 30, "detail": "all tables",
    }  # fmt: skip
    for message in run.messages:
        assert_keeps(message["type"], message)


def test_an_illegal_or_refused_trigger_is_told_to_the_author(act: Act) -> None:
    """It raises in the author's code, changes nothing, and the run goes on."""
    run = act("illegal", program=LEAFY)

    assert run.wait() == 0
    messages = [line["message"] for line in run.log]
    assert (
        "no transition for 'sealed' in state 'running.dumping'; legal here: 'fail', 'dumped'"
        in messages
    )
    assert "every guard of 'dumped' in state 'running.dumping' refused the transition" in messages


@pytest.mark.parametrize(("name", "code"), [("stay", 70), ("contract", 70)])
def test_a_role_that_breaks_its_lifecycle_fails_as_a_bug(act: Act, name: str, code: int) -> None:
    """Ending in a leaf that `complete` does not leave, or firing the contract's triggers."""
    run = act(name, program=LEAFY)

    assert run.wait() == code
    assert run.status["error"]["code"] == "ILLEGAL_TRANSITION"
    assert run.manifest is None


def test_a_leaf_that_outlasts_its_deadline_ends_the_run(act: Act) -> None:
    """The phase's error with the leaf's name."""
    run = act("linger", program=LEAFY)

    assert run.wait() == 1
    assert run.status["error"]["code"] == "JOB_TIMEOUT"
    assert "'running.dumping' outlasted its deadline (1 s)" in run.status["error"]["message"]


@pytest.mark.parametrize(
    ("name", "code", "last"),
    [("linger", 1, "running.dumping -> failed"),
     # `finish` lets the leaf end; the next one ignores what is left of the request.
     ("wait-in-sealing", 0, "completing.cataloguing -> terminated"),
     ("wait-in-resting", 0, "completing.cataloguing -> terminated")],
)  # fmt: skip
def test_a_stop_signal_means_what_the_leaf_says(
    act: Act, tmp_path: Path, name: str, code: int, last: str
) -> None:
    """abort ends it, finish waits for the leaf's end, ignore forgets it."""
    gate = tmp_path / "go"
    run = act(name, program=LEAFY, environ={"BAQUP_SOURCE_PATH": str(gate)})
    run.wait_for_log("act begun")

    run.signal(signal.SIGTERM)
    run.wait_for_log("SIGTERM received")
    gate.touch()

    assert run.wait() == code
    assert moves(run)[-1] == last


def test_a_trace_tells_every_step(act: Act, tmp_path: Path) -> None:
    """Begin, each transition with both times, end with the code: one JSON object a line."""
    path = tmp_path / "trace.jsonl"
    run = act("loop", program=LEAFY, environ={"BAQUP_AGENT_TRACE_FILE": str(path)})

    assert run.wait() == 0
    begin, *steps, end = (json.loads(line) for line in path.read_text().splitlines())
    assert (begin["type"], begin["initial"]) == ("begin", "initializing")
    assert [step["trigger"] for step in steps] == [
        "start", "dumped", "sealed", "rested", "dumped", "complete", "checked", "terminate",
    ]  # fmt: skip
    times = [begin["monotonic_s"], *(step["monotonic_s"] for step in steps), end["monotonic_s"]]
    assert times == sorted(times)
    assert (end["exit_code"], end["error_code"], end["status"]) == (0, None, "success")


def test_a_trace_is_complete_up_to_a_kill(act: Act, tmp_path: Path) -> None:
    """Every transition that the log tells of is in the file when the process is killed."""
    path = tmp_path / "trace.jsonl"
    run = act("linger", program=LEAFY, environ={"BAQUP_AGENT_TRACE_FILE": str(path)})
    run.wait_for_log("act begun")
    run.signal(signal.SIGKILL)
    run.wait()

    kinds = [json.loads(line)["type"] for line in path.read_text().splitlines()]
    assert kinds == ["begin", "step"]


def test_a_trace_on_a_full_disk_does_not_disturb_the_run(act: Act) -> None:
    """It ends with one warning; the backup goes on."""
    run = act("through", program=LEAFY, environ={"BAQUP_AGENT_TRACE_FILE": "/dev/full"})

    assert run.wait() == 0
    assert [line["message"] for line in run.log].count("the trace ends here") == 1


def test_a_trace_that_cannot_be_written_is_a_configuration_error(act: Act, tmp_path: Path) -> None:
    """The variable, the path and the reason stand in one line."""
    environ = {"BAQUP_AGENT_TRACE_FILE": str(tmp_path / "no" / "trace")}
    run = act("through", program=LEAFY, environ=environ)

    assert run.wait() == 64
    assert "BAQUP_AGENT_TRACE_FILE=" in run.log[-1]["message"]
    assert "No such file or directory" in run.log[-1]["message"]
