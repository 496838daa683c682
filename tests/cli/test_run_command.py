"""``baqup-agent run`` in pipes: plain lines, JSON lines, exit codes and signals."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.command import PROGRAM, STAND_IN, baqup_agent, environment, objects, run_stand_in
from tests.controller.runs import JOB_ID, SHELL_AGENT, until

ENDS = [
    ("success", "success", 0),
    ("partial", "partial", 76),
    ("partial_tolerated", "partial", 0),
    ("unreported", "unreported", 75),
    ("failed", "failed", 69),
    ("killed", "lost", 137),
    ("no_manifest", "lost", 70),
    ("corrupt_artifact", "lost", 70),
    ("crash", "lost", 1),
    ("usage", "failed", 64),
]


@pytest.mark.parametrize(("behaviour", "word", "code"), ENDS)
def test_the_verdict_and_the_exit_code_stand_at_the_end(behaviour, word, code, tmp_path):
    """The exit code is the agent's, or the one that keeps a broken promise from scripts."""
    done = run_stand_in(behaviour, tmp_path)
    headlines = [line for line in done.stdout.splitlines() if line.startswith(f"{word}: ")]

    assert done.returncode == code
    assert len(headlines) == 1
    assert STAND_IN in headlines[0]


@pytest.mark.parametrize(("behaviour", "word", "code"), ENDS)
def test_json_ends_with_the_verdict(behaviour, word, code, tmp_path):
    """Nothing but JSON objects on stdout, the verdict the last of them."""
    done = run_stand_in(behaviour, tmp_path, "--json")
    *messages, verdict = objects(done.stdout)

    assert done.returncode == code
    assert (verdict["type"], verdict["verdict"]) == ("verdict", word)
    assert verdict["controller_exit_code"] == code
    assert {message["type"] for message in messages} <= {"heartbeat", "progress", "event", "status"}
    assert verdict["directory"] == str(tmp_path / verdict["job_id"])


def test_plain_lines_tell_each_change_once(tmp_path):
    """States, the intent, each event code, the end."""
    done = run_stand_in("talkative", tmp_path)
    told = [re.sub(r"^ +[\d.]+ s  ", "", line) for line in done.stdout.splitlines()]

    assert told[1:7] == [
        "initializing",
        "running",
        "intent: dump, about 1 min 30 s: shop",
        "warn FILE_CHANGED: a file was modified (./a)",
        "info SYMLINK_SKIPPED: a file was modified (./a)",
        "completing",
    ]
    assert told[7] == "the agent ended with exit code 0; verifying"
    assert told[8].startswith("success: ")
    assert "  warnings   FILE_CHANGED x12" in told
    assert "\x1b" not in done.stdout


def test_the_agents_lines_go_to_stderr_from_warn_upwards(tmp_path):
    """And all of its log with -v."""
    quiet = run_stand_in("talkative", tmp_path)
    loud = run_stand_in("talkative", tmp_path, "-v")

    assert sorted(quiet.stderr.splitlines()) == [
        "a line that is no log line",
        "stdout: a line on stdout",
        "warn stand_in slow source latency_ms=900",
    ]
    assert "info stand_in an ordinary step" in loud.stderr


def test_the_summary_tells_what_is_needed_next(tmp_path):
    """Error, remedy, components, problems and where to read more."""
    failed = run_stand_in("failed", tmp_path).stdout
    partial = run_stand_in("partial", tmp_path).stdout
    corrupt = run_stand_in("corrupt_artifact", tmp_path).stdout

    assert "error      SOURCE_UNAVAILABLE: database db.example does not answer" in failed
    assert "try        check that the database is up" in failed
    assert "more       baqup-agent explain 69" in failed
    assert "components 2 components, 1 succeeded" in partial
    assert "component  crm failed NO_SUCH_DB gone" in partial
    assert "because    exit code 0 promises a valid manifest, but" in corrupt
    assert "problem    'data.bin'" in corrupt


def test_escape_sequences_of_an_agent_are_shown_and_not_obeyed(tmp_path):
    """Its noise must not reach the terminal."""
    done = run_stand_in("garbage", tmp_path, "-v")

    assert done.returncode == 0
    assert not set(done.stdout + done.stderr) & {chr(n) for n in range(32) if n != 10}
    assert r"ODD\x1b[31m x2" in done.stdout


def test_a_shell_agent_runs_from_an_env_file(tmp_path):
    """Everything it needs stands in the file."""
    (tmp_path / "source").mkdir()
    file = tmp_path / "job.env"
    file.write_text(
        f"# a job\nexport BAQUP_SOURCE_PATH='{tmp_path}/source'\n"
        f'BAQUP_STAGING_DIR="{tmp_path}/out"\nBAQUP_JOB_ID={JOB_ID}\n'
    )
    done = baqup_agent("run", SHELL_AGENT, "snapshot", "--env-file", file)

    assert done.returncode == 0
    assert (tmp_path / "out" / JOB_ID / "data.tar").is_file()


def test_a_poor_locale_does_not_end_a_run(tmp_path):
    """What the encoding lacks is written as escapes."""
    done = baqup_agent(
        *("run", STAND_IN, "snapshot", "--staging", tmp_path, "--env", "BEHAVIOUR=success"),
        PYTHONIOENCODING="ascii",
    )

    assert done.returncode == 0
    assert r"\u2026" in done.stdout


def arguments(behaviour: str, staging: Path) -> list[str]:
    options = ["--staging", str(staging), "--env", f"BEHAVIOUR={behaviour}"]
    return ["run", STAND_IN, "snapshot", *options]


def start(behaviour: str, staging: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*PROGRAM, *arguments(behaviour, staging), *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env=environment(),
    )


def read_until(process: subprocess.Popen[str], word: str) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if word in line:
            return line
    raise AssertionError(f"{word!r} was never written")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_becomes_one_sigterm_for_the_agent(number, tmp_path):
    """The controller waits for its end and says so."""
    process = start("aborts", tmp_path)
    read_until(process, "running")
    process.send_signal(number)
    out, _ = process.communicate(timeout=30)

    assert f"note: {number.name}: passed on to the agent as SIGTERM; waiting for it" in out
    assert "error      ABORTED" in out
    assert process.returncode == 1


def test_a_second_and_a_third_ctrl_c_only_say_that_it_waits(tmp_path):
    """The agent finishes what it had begun, and its success is told."""
    gate = tmp_path / "gate"
    process = start("finishes_on_term", tmp_path / "out", "--env", f"GATE={gate}")
    read_until(process, "completing")
    process.send_signal(signal.SIGINT)
    read_until(process, "STOP_NOTED")
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        read_until(process, "SIGINT: still waiting for the agent, process")
    gate.touch()
    out, _ = process.communicate(timeout=30)

    assert "success: " in out
    assert process.returncode == 0


def test_a_reader_that_goes_away_does_not_end_the_backup(tmp_path):
    """The output is gone, and the verdict is still the exit code."""
    gate = tmp_path / "gate"
    process = start(
        "finishes_on_term", tmp_path / "out", "--env", f"GATE={gate}", "--job-id", JOB_ID
    )
    read_until(process, "completing")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    process.send_signal(signal.SIGTERM)
    gate.touch()
    errors = process.stderr.read()
    process.stderr.close()

    assert process.wait(30) == 0
    assert errors == ""
    assert (tmp_path / "out" / JOB_ID / "manifest.json").is_file()


def test_a_full_disk_under_the_output_does_not_end_the_backup(tmp_path):
    """Nor does any other error of the output."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*PROGRAM, *arguments("success", tmp_path), "--job-id", JOB_ID],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            env=environment(),
        )

    assert (tmp_path / JOB_ID / "manifest.json").is_file()
    assert done.stderr == b""
    assert done.returncode == 0


def test_messages_are_written_while_the_agent_runs(tmp_path):
    """A program that reads --json need not wait for the end."""
    process = start("aborts", tmp_path, "--json")
    line = read_until(process, '"running"')
    alive = process.poll() is None
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)

    assert alive
    assert objects(line)[0]["type"] == "heartbeat"


BAD = [
    (["run"], "Missing argument 'AGENT'"),
    (["run", "fs"], "Missing argument 'ROLE'"),
    (["run", "ff", "snapshot", "--staging", "OUT"], "built in: fs"),
    (["run", "./absent.py", "snapshot", "--staging", "OUT"], "no such file"),
    (["run", "fs", "snapshot"], "--staging DIR"),
    (["run", "fs", "snapshot", "--staging", "OUT", "--job-id", "../x"], "BAQUP_JOB_ID is '../x'"),
    (["run", "fs", "snapshot", "--staging", "OUT", "--env-file", "absent.env"], "absent.env"),
    (["run", "fs", "snapshot", "--staging", "OUT", "--env-file", "BAD.env"], "BAD.env:2:"),
    (["run", "fs", "snapshot", "--staging", "OUT", "--env", "A"], "KEY=VALUE"),
    (["run", "fs", "snapshot", "--staging", "OUT", "--bus", "embeded"], "'embedded'"),
    (["run", "fs", "snapshot", "--staging", "OUT", "--bus", "redis://h:x"], "BAQUP_BUS_URL"),
    (["run", "fs", "snapshot", "--staging", "OUT", "--timeout", "0"], "--timeout"),
    (["run", "fs", "snapshot", "--staging", "OUT", "--timeout", "soon"], "--timeout"),
    (["run", "fs", "snapshot", "--staging", "OUT", "--log-level", "loud"], "--log-level"),
    (["run", "fs", "snapshot", "--stagin", "OUT"], "--staging"),
    (["run", "fs", "restore", "--from", "A", "--source", "B"], "--from"),
    (["rum"], "did you mean 'run'"),
    (["frobnicate"], "there are run, verify, "),
    (["--frob"], "--frob"),
    (["verify"], "DIR"),
    (["explain", "99"], "99"),
]


@pytest.mark.parametrize(("options", "word"), BAD, ids=lambda value: str(value)[-40:])
def test_wrong_usage_is_one_line_and_exit_64(options, word, tmp_path, monkeypatch):
    """It names the thing, the rule and the remedy; no traceback, and nothing is made."""
    monkeypatch.chdir(tmp_path)
    Path("BAD.env").write_text("A=1\nno pair\n")
    done = baqup_agent(*options)

    assert done.returncode == 64
    assert word in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("baqup-agent")
    assert done.stdout == ""
    assert not list(tmp_path.glob("OUT/*"))


def test_a_staging_without_a_parent_is_exit_73(tmp_path):
    """The contract's code for output that cannot be made."""
    done = run_stand_in("success", tmp_path / "absent" / "out")

    assert done.returncode == 73
    assert "does not exist" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_no_command_shows_the_help_and_is_exit_64():
    """A script that forgot its command must not take that for success."""
    done = baqup_agent()

    assert done.returncode == 64
    assert re.search(r"^ +run +Run one job", done.stderr, re.MULTILINE)


@pytest.mark.parametrize("command", [[], ["run"], ["verify"], ["explain"]])
def test_help_has_examples(command):
    """Lines that can be copied."""
    done = baqup_agent(*command, "--help")

    assert done.returncode == 0
    assert re.search(r"^ +baqup-agent \w+ ", done.stdout, re.MULTILINE)


def test_the_version_is_the_packages():
    """And asking for it needs nothing slow."""
    from baqup_agent import __version__

    assert baqup_agent("--version").stdout == f"baqup-agent {__version__}\n"


def test_explain_and_help_import_nothing_slow():
    """A person who asks what 75 means waits for no Redis."""
    code = (
        "import sys; from baqup_agent import cli; cli.run(['explain', '75']); cli.run(['--help']);"
        "print(sorted({m.partition('.')[0] for m in sys.modules} &"
        " {'redis', 'jsonschema', 'loguru', 'rich', 'backports', 'tenacity'}))"
    )
    done = subprocess.run(
        [PROGRAM[0], "-c", code], capture_output=True, text=True, check=True, env=environment()
    )

    assert done.stdout.splitlines()[-1] == "[]"


def test_a_bug_is_shown_whole_and_is_exit_70(tmp_path):
    """It must not look like an agent's failure."""
    code = (
        "import sys; from baqup_agent import cli; from baqup_agent.controller import spec;"
        "spec.spec_dir = lambda: 1 / 0; sys.exit(cli.run(['explain', '75']))"
    )
    done = subprocess.run(
        [PROGRAM[0], "-c", code], capture_output=True, text=True, check=False, env=environment()
    )

    assert done.returncode == 70
    assert "ZeroDivisionError" in done.stderr


def test_the_controllers_children_are_all_gone_after_a_run(tmp_path):
    """Agent and bus leave no process and no folder behind."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    done = baqup_agent(
        *("run", STAND_IN, "snapshot", "--staging", tmp_path / "out"),
        *("--env", "BEHAVIOUR=success", "--bus", "file"),
        TMPDIR=str(folder),
    )

    assert done.returncode == 0
    assert list(folder.iterdir()) == []
    until(lambda: not _mentions(str(tmp_path)), "the end of every process of the run")


def _mentions(text: str) -> list[str]:
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if text in line and file.parent.name != str(os.getpid()):
            found.append(line)
    return found
