"""``baqup-agent lifecycle diagram`` and ``timeline``, as a person would call them."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Self
from xml.etree import ElementTree as ET

import pytest

from tests.cli.command import CHECKOUT, PROGRAM, environment
from tests.lifecycle.traces import CUT, FAILING, GOOD, records, written
from tests.waiting import eventually

AGENT = """
from baqup_agent import Agent
from tests.lifecycle.rich_example import RICH_EXAMPLE

class Example(Agent):
    name, version, lifecycle = "agent-example", "1.0.0", RICH_EXAMPLE

    def snapshot(self, job):
        pass
"""


def command(*arguments: object) -> list[str]:
    return [*PROGRAM, "lifecycle", *map(str, arguments)]


def lifecycle(*arguments: object, **changes: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command to its end."""
    return subprocess.run(
        command(*arguments),
        capture_output=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
        cwd=CHECKOUT,
        env=environment(**changes),
    )


def one_line(done: subprocess.CompletedProcess[bytes], code: int = 64) -> str:
    """The one line of an error."""
    assert done.returncode == code, done.stderr
    assert done.stdout == b""
    (line,) = done.stderr.decode().splitlines()
    return line


@pytest.fixture
def agent(tmp_path: Path) -> str:
    path = tmp_path / "example_agent.py"
    path.write_text(AGENT)
    return f"{path}:Example"


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return written(tmp_path / "run.jsonl", records(FAILING, (69, "SOURCE_UNAVAILABLE")))


@pytest.mark.parametrize(
    ("form", "beginning"),
    [("text", "agent-example\n"), ("mermaid", "---\n"), ("dot", "digraph"), ("svg", "<svg")],
)
def test_each_format_is_written_without_any_program(form: str, beginning: str, agent: str) -> None:
    """There is nothing on the path that could help."""
    done = lifecycle("diagram", agent, "--format", form, PATH="")

    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().startswith(beginning)
    assert done.stderr == b""


def test_text_is_the_form_that_nobody_asked_for(trace: Path, agent: str) -> None:
    """With a run over it, and without colours where there is no terminal."""
    shown = lifecycle("diagram", agent, "--trace", trace).stdout.decode()

    assert "run: ended with SOURCE_UNAVAILABLE, exit 69" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    ("name", "beginning"), [("a.svg", "<svg"), ("a.mmd", "---"), ("a.gv", "digraph"), ("a", "The")]
)
def test_the_outputs_name_says_its_format(name: str, beginning: str, tmp_path: Path) -> None:
    """Nothing goes to the terminal then."""
    done = lifecycle("diagram", "contract", "--output", tmp_path / name)

    assert (done.returncode, done.stdout) == (0, b"")
    assert (tmp_path / name).read_text().startswith(beginning)


def test_png_without_graphviz_names_it_and_what_to_take_instead() -> None:
    """One line, and nothing half written."""
    line = one_line(lifecycle("diagram", "contract", "--format", "png", PATH=""))

    assert "install graphviz" in line
    assert "svg, mermaid, text or dot" in line


def test_png_is_what_graphviz_makes_of_the_dot_form(tmp_path: Path) -> None:
    """A stand-in program is given the text and its answer is passed on as it is."""
    program = tmp_path / "bin" / "dot"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\nimport sys\n"
        "sys.stdout.buffer.write(b'\\x89PNG' + sys.stdin.buffer.read()[:7])\n"
    )
    program.chmod(0o755)
    shown = lifecycle("diagram", "contract", "--format", "png", PATH=str(program.parent))
    file = tmp_path / "a.png"
    lifecycle("diagram", "contract", "--output", file, PATH=str(program.parent))

    assert shown.stdout == b"\x89PNGdigraph"
    assert file.read_bytes() == shown.stdout


def test_graphviz_failing_is_told_in_its_words(tmp_path: Path) -> None:
    """One line with what it said, and no file."""
    program = tmp_path / "dot"
    program.write_text("#!/bin/sh\necho 'no such\nlayout' >&2\nexit 3\n")
    program.chmod(0o755)
    file = tmp_path / "a.png"
    line = one_line(lifecycle("diagram", "contract", "--output", file, PATH=f"{tmp_path}:/bin"))

    assert "failed: no such layout; take svg" in line
    assert not file.exists()


@pytest.mark.parametrize("name", ["diagram", "timeline"])
def test_an_output_that_cannot_be_written_is_exit_73(
    name: str, tmp_path: Path, trace: Path
) -> None:
    """The file and the reason are named."""
    target = "contract" if name == "diagram" else trace
    line = one_line(lifecycle(name, target, "--output", tmp_path / "no" / "a.svg"), 73)

    assert "a.svg' cannot be written: No such file or directory; give --output" in line


@pytest.mark.parametrize("name", ["diagram", "timeline"])
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "run.jsonl': cannot be read: No such file or directory"),
        ("", "run.jsonl': holds no line of a trace"),
        ("{}\n", "run.jsonl:1': is no line of a trace"),
        ("not a trace\n", "run.jsonl:1': is no JSON"),
    ],
)
def test_a_bad_trace_is_one_line_with_file_and_line(
    name: str, content: str | None, says: str, tmp_path: Path
) -> None:
    """And exit code 64."""
    path = tmp_path / "run.jsonl"
    if content is not None:
        path.write_text(content)
    rest = ("contract", "--trace", path) if name == "diagram" else (path,)

    assert says in one_line(lifecycle(name, *rest))


def test_a_trace_of_another_agent_is_refused(trace: Path) -> None:
    """The leaf that is not known is named with its line."""
    line = one_line(lifecycle("diagram", "contract", "--trace", trace))

    assert "run.jsonl:2': the lifecycle has no leaf 'running.connecting'" in line


def test_a_timeline_is_written_as_text_and_as_a_picture(trace: Path, tmp_path: Path) -> None:
    """By the format or by the output's name."""
    lifecycle("timeline", trace, "--output", tmp_path / "t.svg")
    shown = lifecycle("timeline", trace).stdout.decode()

    assert "running.dumping.rows" in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert ET.parse(tmp_path / "t.svg").getroot().tag.endswith("svg")
    assert lifecycle("timeline", trace, "--format", "svg").stdout.startswith(b"<svg")


@pytest.mark.parametrize("more", [["--format", "svg"], ["--output", "x"], ["--trace", "x"]])
def test_live_is_text_in_the_terminal_and_nothing_else(more: list[str], trace: Path) -> None:
    """Anything else is refused, with what to leave out."""
    line = one_line(lifecycle("diagram", "contract", "--live", trace, *more))

    assert "give no --format, --output, --trace" in line


def test_live_without_a_directory_to_wait_for_is_refused(tmp_path: Path) -> None:
    """It would wait for ever."""
    line = one_line(lifecycle("diagram", "contract", "--live", tmp_path / "no" / "run.jsonl"))

    assert "is no directory" in line


class Live:
    """The command while it looks at a trace that grows."""

    def __init__(self, agent: str, path: Path) -> None:
        self.path = path
        self.process = subprocess.Popen(
            command("diagram", agent, "--live", path),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            cwd=CHECKOUT,
            env=environment(),
        )
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)
        self.shown = ""

    def shows(self, text: str) -> bool:
        assert self.process.stdout is not None
        self.shown += (self.process.stdout.read() or b"").decode()
        return text in self.shown

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


def test_live_follows_a_run_to_its_end(agent: str, tmp_path: Path) -> None:
    """It waits for the file, draws what is added, knows half a line from a whole one, and ends."""
    path = tmp_path / "run.jsonl"
    rows = [json.dumps(row) for row in records(GOOD, (0, None))]
    with Live(agent, path) as live:
        eventually(lambda: live.shows("waiting for"), within_s=20)
        with path.open("a") as file:
            file.write(rows[0] + "\n" + rows[1][:20])
            file.flush()
            eventually(lambda: live.shows("stands in initializing"), within_s=20)
            file.write(rows[1][20:] + "\n")
            file.flush()
            eventually(lambda: live.shows("stands in running.connecting"), within_s=20)
            file.write("\n".join(rows[2:]) + "\n")
        code = live.process.wait(timeout=20)

        assert live.shows("ended with exit 0")
        assert "torn" not in live.shown
        assert code == 0


def test_ctrl_c_ends_looking_cleanly(agent: str, tmp_path: Path) -> None:
    """Exit 0, no traceback; the run itself is not touched."""
    path = written(tmp_path / "run.jsonl", records(CUT))
    with Live(agent, path) as live:
        eventually(lambda: live.shows("stands in running.dumping.rows"), within_s=20)
        live.process.send_signal(signal.SIGINT)
        code = live.process.wait(timeout=20)

        assert code == 0
        assert live.shows("no longer looking")
        assert live.process.stderr is not None
        assert live.process.stderr.read() == b""


def test_live_in_a_terminal_redraws_in_place_and_keeps_to_its_height(
    agent: str, tmp_path: Path
) -> None:
    """What is shown is around where the run stands, in colour."""
    path = written(tmp_path / "run.jsonl", records(CUT))
    master, slave = pty.openpty()
    process = subprocess.Popen(
        command("diagram", agent, "--live", path),
        stdout=slave, stderr=slave, stdin=subprocess.DEVNULL, cwd=CHECKOUT,
        env=environment(LINES="24", COLUMNS="80", TERM="xterm"),
    )  # fmt: skip
    os.close(slave)
    seen = b""
    try:
        deadline = time.monotonic() + 20
        while seen.count(b"\x1b[H\x1b[J") < 2:
            assert time.monotonic() < deadline, seen
            if select.select([master], [], [], 0.2)[0]:
                seen += os.read(master, 65536)
    finally:
        process.kill()
        process.wait()
        os.close(master)
    frame = seen.decode(errors="replace").split("\x1b[H\x1b[J")[1]

    assert "▶ rows" in frame
    assert "\x1b[1;33m" in frame
    assert len(frame.splitlines()) <= 24
