"""The live view, on a real pseudo-terminal."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import PROGRAM, STAND_IN, environment

_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A program on a terminal of its own: it is read, and keys are pressed."""

    def __init__(self, arguments: list[str], columns: int = 100, **changes: str) -> None:
        controller, terminal = pty.openpty()
        termios.tcsetwinsize(terminal, (30, columns))
        self._controller = controller
        self._bytes = b""
        self.process = subprocess.Popen(
            # setsid makes the terminal the controlling one, so that Ctrl-C is a real Ctrl-C
            ["setsid", "--ctty", *arguments],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env=environment(**{"TERM": "xterm-256color", **changes}),
        )
        os.close(terminal)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                chunk = os.read(self._controller, 65536)
            except OSError:  # EIO: the last process has closed the terminal
                return
            if not chunk:
                return
            self._bytes += chunk

    @property
    def raw(self) -> str:
        return self._bytes.decode(errors="replace")

    @property
    def text(self) -> str:
        """All that was ever written, without control sequences."""
        return _SEQUENCE.sub("", self.raw)

    def wait_for(self, word: str, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while word not in self.text:
            assert time.monotonic() < deadline, f"{word!r} never came: {self.text[-2000:]}"
            time.sleep(0.02)

    def press(self, keys: str) -> None:
        os.write(self._controller, keys.encode())

    def end(self) -> int:
        code = self.process.wait(30)
        self._reader.join(30)
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join(10)
        os.close(self._controller)


@pytest.fixture
def open_terminal() -> Iterator[type[Terminal]]:
    opened: list[Terminal] = []

    class Tracked(Terminal):
        def __init__(self, *arguments, **more) -> None:
            super().__init__(*arguments, **more)
            opened.append(self)

    yield Tracked
    for terminal in opened:
        terminal.close()


def run(behaviour: str, staging: Path, *more: str) -> list[str]:
    options = ["--staging", str(staging), "--env", f"BEHAVIOUR={behaviour}", *more]
    return [*PROGRAM, "run", STAND_IN, "snapshot", *options]


def test_the_picture_shows_state_heartbeat_intent_progress_and_events(open_terminal, tmp_path):
    """Drawn in place while the agent runs, and removed before the summary."""
    gate = tmp_path / "gate"
    shown = run("talkative_until_gate", tmp_path / "out", "--env", f"GATE={gate}")
    terminal = open_terminal(shown)
    terminal.wait_for("heartbeat 1 s ago")
    during = terminal.text
    gate.touch()

    assert terminal.end() == 0
    for word in (
        "running",
        "intent  dump, about 1 min 30 s: shop",
        "40 %, 1.2 MiB, 3 files",
        "━━━━",
        "warn FILE_CHANGED x12: a file was modified (./a)",
        "info SYMLINK_SKIPPED",
        "warn stand_in slow source latency_ms=900",
    ):
        assert word in during, word
    assert "an ordinary step" not in during
    last = terminal.text.rpartition("success: ")[2]
    assert "warnings   FILE_CHANGED x12" in last
    assert "heartbeat" not in last
    erased = terminal.raw.rpartition("verifying")[2].partition("success: ")[0]
    assert "\x1b[2K" in erased  # the picture's last row, before the summary takes its place
    assert terminal.raw.count("\x1b[?25l") == terminal.raw.count("\x1b[?25h") == 1  # the cursor


def test_ctrl_c_reaches_the_controller_alone_and_is_passed_on_once(open_terminal, tmp_path):
    """Three times Ctrl-C; the agent gets one SIGTERM, no SIGINT, and finishes."""
    gate = tmp_path / "gate"
    terminal = open_terminal(run("finishes_on_term", tmp_path / "out", "--env", f"GATE={gate}"))
    terminal.wait_for("completing")
    terminal.press("\x03")
    terminal.wait_for("SIGINT: passed on to the agent as SIGTERM; waiting for it")
    terminal.wait_for("STOP_NOTED")
    terminal.press("\x03")
    terminal.wait_for("SIGINT: still waiting")
    terminal.press("\x03")
    gate.touch()

    assert terminal.end() == 0
    assert "success: " in terminal.text


def test_a_narrow_terminal_keeps_each_row_of_the_picture_on_one_line(open_terminal, tmp_path):
    """Otherwise it would flicker and leave remains."""
    gate = tmp_path / "gate"
    arguments = run("talkative_until_gate", tmp_path / "out", "--env", f"GATE={gate}")
    terminal = open_terminal(arguments, columns=30)
    terminal.wait_for("intent  dump")
    gate.touch()

    assert terminal.end() == 0
    rows = [line for line in terminal.text.splitlines() if line.startswith("  intent  ")]
    assert rows
    assert {(len(row.rstrip()), row.rstrip()[-1]) for row in rows} == {(30, "…")}


def test_no_color_draws_without_colours(open_terminal, tmp_path):
    """By the option and by the variable that people set for all programs."""
    for arguments, changes in (
        (run("failed", tmp_path, "--no-color"), {}),
        (run("failed", tmp_path), {"NO_COLOR": "1"}),
    ):
        terminal = open_terminal(arguments, **changes)
        terminal.wait_for("more       baqup-agent")
        assert terminal.end() == 69
        assert not re.search(r"\x1b\[[0-9;]*3[0-7]", terminal.raw)

    coloured = open_terminal(run("failed", tmp_path))
    coloured.wait_for("more       baqup-agent")
    assert coloured.end() == 69
    assert re.search(r"\x1b\[[0-9;]*31", coloured.raw)


@pytest.mark.parametrize(
    ("more", "changes"), [(["--json"], {}), ([], {"TERM": "dumb"}), ([], {"TERM": ""})]
)
def test_some_terminals_get_no_picture(more, changes, open_terminal, tmp_path):
    """One that cannot draw, and one whose reader asked for JSON."""
    terminal = open_terminal(run("success", tmp_path, *more), **changes)

    assert terminal.end() == 0
    assert "success" in terminal.text
    assert "\x1b" not in terminal.raw


def test_a_flood_of_lines_does_not_hold_up_the_picture(open_terminal, tmp_path):
    """A few of 500,000 lines are shown, the others counted."""
    terminal = open_terminal(run("flood", tmp_path))

    assert terminal.end() == 0
    assert "lines left out" in terminal.text
    assert "the last line of the flood" in terminal.text
    assert len(terminal.raw) < 5_000_000


def test_the_picture_goes_when_the_agent_is_killed(open_terminal, tmp_path):
    """The summary stands alone, the cursor is back."""
    terminal = open_terminal(run("killed", tmp_path))

    assert terminal.end() == 128 + signal.SIGKILL
    assert "lost: " in terminal.text
    assert terminal.raw.count("\x1b[?25h") == 1
