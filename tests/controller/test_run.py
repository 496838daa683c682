"""Whole runs of real child processes, from the start to the verdict."""

from __future__ import annotations

import json
import os
import signal
import tarfile
import tempfile
import threading
from pathlib import Path

import pytest

from baqup_agent.controller import JobRequest, StopRequests, run_job
from baqup_agent.controller.agents import AgentCommand, resolve_agent
from baqup_agent.controller.verdict import Outcome
from baqup_agent.errors import BusRefused, ConfigError, OutputError, UsageError
from tests.controller.runs import JOB_ID, OUTER, SHELL_AGENT, Recorder, is_alive, run, until

ENDS = [
    ("success", Outcome.SUCCESS, 0, 0),
    ("talkative", Outcome.SUCCESS, 0, 0),
    ("partial", Outcome.PARTIAL, 76, 76),
    ("partial_tolerated", Outcome.PARTIAL, 0, 0),
    ("unreported", Outcome.UNREPORTED, 75, 75),
    ("unreported_without_orphan", Outcome.UNREPORTED, 75, 75),
    ("unreported_without_manifest", Outcome.LOST, 75, 70),
    ("failed", Outcome.FAILED, 69, 69),
    ("failed_unreported", Outcome.FAILED, 69, 69),
    ("killed", Outcome.LOST, None, 137),
    ("killed_after_publication", Outcome.LOST, None, 137),
    ("no_manifest", Outcome.LOST, 0, 70),
    ("corrupt_artifact", Outcome.LOST, 0, 70),
    ("disagreeing_status", Outcome.LOST, 0, 70),
    ("mute", Outcome.LOST, 0, 70),
    ("anothers_manifest", Outcome.LOST, 0, 70),
    ("crash", Outcome.LOST, 1, 1),
    ("usage", Outcome.FAILED, 64, 64),
]


@pytest.mark.parametrize(("behaviour", "outcome", "code", "own"), ENDS)
def test_each_way_out_of_a_run_has_its_verdict(behaviour, outcome, code, own, tmp_path):
    """A real process ends in its way, and the verdict sees through it."""
    report = run(behaviour, tmp_path)

    assert report.verdict.outcome is outcome
    assert (report.exit.code, report.verdict.exit_code) == (code, own)
    assert report.exit.signal == (signal.SIGKILL if code is None else None)
    assert report.duration_s > 0


def test_an_agent_in_shell_is_an_agent_like_any_other(tmp_path):
    """The contract needs no SDK: only files, an exit code and a JSON line."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "a file").write_text("content")
    request = JobRequest(
        resolve_agent(str(SHELL_AGENT)), "snapshot", staging=tmp_path / "out", source=source
    )
    report = run_job(request, inherited=OUTER)

    assert report.verdict.outcome is Outcome.SUCCESS
    with tarfile.open(report.plan.directory / "data.tar") as archive:
        assert "./a file" in archive.getnames()


def test_messages_arrive_in_order_while_the_agent_runs(tmp_path):
    """The watcher sees every message of the job once, as it was written."""
    recorder = Recorder()
    report = run("talkative", tmp_path, recorder)

    assert [message["seq"] for message in recorder.messages] == list(range(1, 10))
    assert report.picture.messages == 9
    assert report.picture.warnings == {"FILE_CHANGED": 12}
    assert report.picture.percent == 100
    assert report.picture.state == "completing"


def test_lines_of_both_streams_are_handed_on(tmp_path):
    """Log lines, other lines, and lines that have no business on stdout."""
    recorder = Recorder()
    run("talkative", tmp_path, recorder)
    lines = {(line.stream, line.text) for line in recorder.lines}

    assert ("stdout", "a line on stdout") in lines
    assert ("stderr", "a line that is no log line") in lines
    assert any('"slow source"' in text for _, text in lines)


def test_the_orphan_status_stands_in_for_the_bus(tmp_path):
    """Its error is reported as if it had come over the bus."""
    report = run("failed_unreported", tmp_path)

    assert report.orphan
    assert report.status is not None
    assert report.status["error"]["code"] == "SOURCE_UNAVAILABLE"


def test_an_orphan_status_of_an_earlier_run_is_not_taken_for_ours(tmp_path):
    """The same job was tried before, and this time the agent dies without a word."""
    run("failed_unreported", tmp_path)
    report = run("crash", tmp_path)

    assert report.status is None
    assert report.verdict.outcome is Outcome.LOST


def test_a_manifest_of_an_earlier_run_is_not_taken_for_ours(tmp_path):
    """A refusal to publish twice has failed; a lie about the old manifest is lost."""
    run("success", tmp_path)

    assert run("no_published_yet", tmp_path).verdict.outcome is Outcome.FAILED
    assert run("no_manifest", tmp_path).verdict.outcome is Outcome.LOST


def test_the_last_words_of_a_crash_are_kept(tmp_path):
    """Where there is no status, they are all that tells why."""
    assert run("crash", tmp_path).last_words == "RuntimeError: nobody caught this"
    assert run("killed", tmp_path).last_words == "about to go down"


def test_a_flood_on_stderr_neither_blocks_the_agent_nor_fills_the_memory(tmp_path):
    """50 MB: the newest lines are kept, the others counted."""
    recorder = Recorder()
    report = run("flood", tmp_path, recorder)
    shown = sum(line.text == "x" * 99 for line in recorder.lines)
    dropped = sum(int(note.split()[0]) for note in report.notes if "too fast" in note)

    assert report.verdict.outcome is Outcome.SUCCESS
    assert report.last_words == "the last line of the flood"
    assert shown + dropped == 500_000


def test_a_watcher_that_is_slow_does_not_hold_up_the_agent(tmp_path):
    """The agent ends while the first line is still being shown."""
    ended = tmp_path / "ended"

    class Slow(Recorder):
        def line(self, line):
            super().line(line)
            if len(self.lines) == 1:
                until(lambda: not is_alive(self.pids[0]), "the agent's end")
                ended.touch()

    report = run("flood", tmp_path, Slow())

    assert ended.exists()
    assert report.verdict.outcome is Outcome.SUCCESS


def test_a_line_without_end_is_cut(tmp_path):
    """8 MB in one line: its beginning is kept."""
    recorder = Recorder()
    run("endless_line", tmp_path, recorder)
    longest = max(len(line.text) for line in recorder.lines)

    assert 256 * 1024 < longest < 300 * 1024


def test_garbage_everywhere_is_survived_and_told(tmp_path):
    """Noise on stdout, stderr and the bus changes nothing of the verdict."""
    recorder = Recorder()
    report = run("garbage", tmp_path, recorder)

    assert report.verdict.outcome is Outcome.SUCCESS
    assert any("could not be understood" in note for note in report.notes)
    assert report.picture.state == "terminated"


def test_what_an_agent_leaves_running_is_ended_and_told(tmp_path):
    """A container's end would do the same."""
    pid_file = tmp_path / "pid"
    report = run("leaves_child", tmp_path / "out", variables={"CHILD_PID": str(pid_file)})

    assert report.exit.left_behind == 1
    assert not is_alive(int(pid_file.read_text()))
    assert any("1 of its processes" in note for note in report.notes)


def test_a_process_out_of_reach_does_not_hold_up_the_run(tmp_path):
    """It holds stderr open from another session; the run ends all the same, and says so."""
    pid_file = tmp_path / "pid"
    try:
        report = run("child_out_of_reach", tmp_path / "out", variables={"CHILD_PID": str(pid_file)})

        assert report.verdict.outcome is Outcome.SUCCESS
        assert not report.exit.output_complete
        assert any("holds its output open" in note for note in report.notes)
    finally:
        os.kill(int(pid_file.read_text()), signal.SIGKILL)


def test_a_stop_is_passed_on_as_one_sigterm_and_waited_for(tmp_path):
    """The agent aborts in its own way and reports it."""
    stop = StopRequests()

    def on_running(message):
        if message.get("state") == "running":
            stop.request("SIGINT")

    recorder = Recorder(on_running)
    report = run("aborts", tmp_path, recorder, stop=stop)

    assert (report.verdict.outcome, report.exit.code) == (Outcome.FAILED, 1)
    assert report.status is not None
    assert report.status["error"]["code"] == "ABORTED"
    assert [n for n in recorder.notices if n.startswith("SIGINT: passed on")]


def test_further_stops_wait_with_the_person_and_kill_nothing(tmp_path):
    """Three requests are one SIGTERM; the slow finisher is left to finish."""
    stop, gate = StopRequests(), tmp_path / "gate"

    def react(message):
        if message.get("state") == "completing" and not gate.exists():
            stop.request("SIGINT")
        if message.get("code") == "STOP_NOTED":
            stop.request("SIGINT")
            stop.request("SIGTERM")

    class OpensGate(Recorder):
        def notice(self, text):
            super().notice(text)
            if text.startswith("SIGTERM: still waiting"):
                gate.touch()

    recorder = OpensGate(react)
    variables = {"GATE": str(gate)}
    report = run("finishes_on_term", tmp_path / "out", recorder, stop=stop, variables=variables)

    assert report.verdict.outcome is Outcome.SUCCESS
    assert [n.partition(" ")[2][:13] for n in recorder.notices] == [
        "passed on to ",
        "still waiting",
        "still waiting",
    ]


def test_a_stop_that_was_asked_for_before_the_start_is_not_lost(tmp_path):
    """The agent is started, and told at once."""
    stop = StopRequests()
    stop.request()
    recorder = Recorder()
    report = run("aborts", tmp_path, recorder, stop=stop)

    assert report.verdict.outcome in (Outcome.FAILED, Outcome.LOST)
    assert (report.exit.code, report.exit.signal) in ((1, None), (None, signal.SIGTERM))


def test_an_agent_that_takes_no_signal_from_us_is_waited_for(tmp_path, monkeypatch):
    """It runs as another user, as behind sudo; the view says so."""
    stop, gate = StopRequests(), tmp_path / "gate"

    def refuse(process, number):
        raise PermissionError(1, "Operation not permitted")

    class OpensGate(Recorder):
        def notice(self, text):
            super().notice(text)
            gate.touch()

    monkeypatch.setattr("baqup_agent.controller.launch.AgentProcess.send", refuse)
    recorder = OpensGate(lambda message: stop.request("SIGINT") if not gate.exists() else None)
    variables = {"GATE": str(gate)}
    behaviour = "talkative_until_gate"
    report = run(behaviour, tmp_path / "out", recorder, stop=stop, variables=variables)

    assert report.verdict.outcome is Outcome.SUCCESS
    assert "another user" in recorder.notices[0]


def test_a_watcher_that_fails_leaves_no_agent_behind(tmp_path):
    """An error in the view ends the agent properly before it is raised."""

    class Broken(Recorder):
        def message(self, message, picture):
            raise RuntimeError("the view broke")

    recorder = Broken()
    with pytest.raises(RuntimeError, match="the view broke"):
        run("aborts", tmp_path, recorder)

    assert not is_alive(recorder.pids[0])


def test_the_bus_of_a_run_goes_with_it(tmp_path, monkeypatch):
    """The folder of the file bus is removed."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    run("success", tmp_path / "out")

    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_given_file_bus_is_followed_from_its_end_and_kept(tmp_path):
    """What an earlier attempt wrote there is not shown again."""
    bus = tmp_path / "bus"
    bus.mkdir()
    run("failed", tmp_path / "out", bus=bus.as_uri())
    before = (bus / f"{JOB_ID}.jsonl").read_bytes()
    recorder = Recorder()
    report = run("success", tmp_path / "out", recorder, bus=bus.as_uri())

    assert report.verdict.outcome is Outcome.SUCCESS
    assert [message["type"] for message in recorder.messages][-2:] == ["status", "heartbeat"]
    assert len(recorder.messages) == 5
    assert (bus / f"{JOB_ID}.jsonl").read_bytes().startswith(before)


def test_the_agent_sees_a_complete_environment_and_none_of_ours(tmp_path):
    """Only what is passed on by name, and what the request says."""
    dump = tmp_path / "environment.json"
    inherited = {**OUTER, "HOME": "/home/someone", "LC_ALL": "C", "PYTHONDONTWRITEBYTECODE": "1"}
    foreign = {"BAQUP_SECRET_DB": "s3cret", "AWS_SECRET": "x", "BAQUP_JOB_TIMEOUT": "5"}
    request = JobRequest(
        AgentCommand("stand-in", resolve_agent(str(Path(__file__).with_name("stand_in.py"))).argv),
        "snapshot",
        staging=tmp_path / "out",
        variables={"BEHAVIOUR": "shows_environment", "DUMP": str(dump)},
    )
    recorder = Recorder()
    report = run_job(request, watcher=recorder, inherited={**inherited, **foreign})
    seen = json.loads(dump.read_text())
    seen.pop("LC_CTYPE", None)  # CPython's own doing in the C locale

    assert report.verdict.outcome is Outcome.SUCCESS
    assert seen == {
        **inherited,
        "BAQUP_AGENT_LOG_FORMAT": "json",
        "BAQUP_BUS_URL": seen["BAQUP_BUS_URL"],
        "BAQUP_JOB_ID": report.plan.job_id,
        "BAQUP_STAGING_DIR": str(tmp_path / "out"),
        "BEHAVIOUR": "shows_environment",
        "DUMP": str(dump),
    }
    assert [n.split()[0] for n in recorder.notices] == ["BAQUP_JOB_TIMEOUT", "BAQUP_SECRET_DB"]
    assert not [n for n in recorder.notices if "s3cret" in n]


def test_the_agent_runs_in_a_session_of_its_own(tmp_path):
    """So that the terminal's Ctrl-C reaches the controller alone."""
    sessions = []

    class Looks(Recorder):
        def started(self, plan, pid):
            super().started(plan, pid)
            sessions.append((os.getsid(pid), os.getpgid(pid)))

    recorder = Looks()
    run("success", tmp_path, recorder)

    assert sessions == [(recorder.pids[0], recorder.pids[0])]


BAD = [
    ({"staging": None}, ConfigError, "--staging"),
    ({"job_id": "../../etc"}, ConfigError, "BAQUP_JOB_ID"),
    ({"job_id": "3f2c8a4e"}, ConfigError, "UUID"),
    ({"variables": {"BAQUP_JOB_ID": "x"}}, ConfigError, "UUID"),
    ({"bus": "embeded"}, UsageError, "embedded"),
    ({"bus": "http://h/"}, BusRefused, "scheme"),
    ({"bus": "file://relative"}, BusRefused, "slash"),
    ({"source": Path("a"), "published": Path("b")}, ConfigError, "--from"),
]


@pytest.mark.parametrize(("changes", "error", "word"), BAD, ids=lambda v: str(v)[:40])
def test_a_request_that_cannot_be_carried_out_starts_nothing(changes, error, word, tmp_path):
    """It is refused in one line that names the rule."""
    recorder = Recorder()
    arguments = {"staging": tmp_path / "out", **changes}
    with pytest.raises(error, match=word) as caught:
        run("success", arguments.pop("staging"), recorder, **arguments)

    assert "\n" not in caught.value.message
    assert recorder.pids == []


def test_a_staging_without_a_parent_is_refused(tmp_path):
    """A typing error must not grow into a tree of directories."""
    with pytest.raises(OutputError, match="does not exist"):
        run("success", tmp_path / "absent" / "out")

    assert not (tmp_path / "absent").exists()


def test_a_staging_that_is_a_file_is_refused(tmp_path):
    """With the reason of the operating system."""
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="cannot be used"):
        run("success", tmp_path / "out")


@pytest.mark.parametrize(
    ("content", "word"),
    [(b"\x00\x01", "cannot be started"), (b"#!/no/such/interpreter\n", "cannot be started")],
)
def test_a_program_that_cannot_be_executed_is_refused(content, word, tmp_path):
    """No agent ran, so there is no verdict."""
    program = tmp_path / "agent"
    program.write_bytes(content)
    program.chmod(0o755)
    request = JobRequest(resolve_agent(str(program)), "snapshot", staging=tmp_path / "out")

    with pytest.raises(UsageError, match=word):
        run_job(request, inherited=OUTER)


def test_passing_on_signals_restores_the_handlers(tmp_path):
    """After the run, Ctrl-C means what it meant before."""
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    during = []

    class Looks(Recorder):
        def tick(self, picture):
            during.append(signal.getsignal(signal.SIGINT))

    request = JobRequest(
        resolve_agent(str(Path(__file__).with_name("stand_in.py"))),
        "snapshot",
        staging=tmp_path,
        variables={"BEHAVIOUR": "flood"},
    )
    run_job(request, watcher=Looks(), pass_on_signals=True, inherited=OUTER)
    after = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]

    assert after == before
    assert during
    assert during[0] != before[0]


def test_no_thread_and_no_descriptor_outlives_a_run(tmp_path):
    """Runs can be repeated in one process for ever."""
    run("success", tmp_path / "warm-up")
    until(lambda: not our_threads(), "the threads of the first run")
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    for number in range(5):
        run("talkative", tmp_path / str(number))

    until(lambda: not our_threads(), "the threads' ends", seconds=5)
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors


def our_threads() -> list[str]:
    names = {"agent-output", "agent-end", "bus-reader"}
    return [thread.name for thread in threading.enumerate() if thread.name in names]
