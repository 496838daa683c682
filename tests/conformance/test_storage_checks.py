"""What the checks of staging stand on: traces, spoiled directories, and doing without either."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from baqup_agent.conformance import confined, strace
from baqup_agent.conformance.report import Outcome
from baqup_agent.conformance.strace import Call, calls_in
from tests.conformance.judging import broken, judge, told
from tests.conformance.mutants import Mutant, plain_command
from tests.conformance.mutants_storage import PUBLICATION

_PYTHON = (sys.executable, "-I")

_TRACE = """\
7 renameat(5</s/.staging>, "data \\"1\\".tar", 6</s>, "data.tar") = 0
7 fsync(5</s/.staging/a> <unfinished ...>
8 write(9</s/.staging/b>, ""..., 10) = 10
7 <... fsync resumed>) = 0
7 rename("/s/x", "/s/y") = -1 ENOENT (No such file or directory)
7 fsync(3</s>) = ? ERESTARTSYS (To be restarted)
8 link("/s/.staging/c", "/s/c") = 0
7 sync() = 0
7 +++ exited with 0 +++
"""


def _skip(reason: str) -> None:
    assert "CI" not in os.environ, f"CI has to have it: {reason}"
    pytest.skip(f"this machine cannot: {reason}")


def test_a_trace_is_read_call_by_call(tmp_path):
    """Calls that succeeded, with paths joined, beginnings and ends; failed ones are left out."""

    (tmp_path / "trace").write_text(_TRACE)

    assert calls_in(tmp_path / "trace") == [
        Call("renameat", ('/s/.staging/data \\"1\\".tar', "/s/data.tar"), 0, 0),
        Call("write", ("/s/.staging/b",), 2, 2),
        Call("fsync", ("/s/.staging/a",), 1, 3),
        Call("link", ("/s/.staging/c", "/s/c"), 6, 6),
        Call("sync", (), 7, 7),
    ]


def test_a_real_trace_tells_a_move_and_its_sync(tmp_path):
    """What a small program did is read from its own trace."""

    if refusal := strace._refusal():
        _skip(refusal)
    words = strace.traced(tmp_path / "trace", (*strace.MOVES, *strace.SYNCS))
    script = f"import os; os.chdir({str(tmp_path)!r}); f = open('a', 'w'); os.fsync(f.fileno())"
    script += "; os.rename(os.path.abspath('a'), os.path.abspath('b'))"

    subprocess.run([*words, sys.executable, "-I", "-c", script], check=True, timeout=60)

    found = [
        (one.name, one.paths)
        for one in calls_in(tmp_path / "trace")
        if one.paths[0].startswith(str(tmp_path))  # the interpreter may write for itself
    ]
    assert found == [
        ("fsync", (str(tmp_path / "a"),)),
        ("rename", (str(tmp_path / "a"), str(tmp_path / "b"))),
    ]


@pytest.mark.parametrize("kind", ["forbidden", "read-only", "full"])
def test_a_spoiled_directory_takes_no_page(kind, tmp_path):
    """In each kind of spoiled directory a program fails to write two pages, and tells its code."""

    staging, kept = tmp_path / "staging", tmp_path / "kept"
    staging.mkdir()
    kept.mkdir()
    if kind == "forbidden":
        staging.chmod(0o555)
    script = f"import os\ntry: open({str(staging / 'f')!r}, 'wb', 0).write(bytes(4096))\n"
    script += f"except OSError: os._exit(9)\nopen({str(staging / 'g')!r}, 'wb', 0).write(bytes(1))"

    done = subprocess.run(
        [*_PYTHON, confined.__file__, kind, staging, kept, *_PYTHON, "-c", script],
        capture_output=True,
        check=False,
        timeout=60,
    )

    staging.chmod(0o755)
    if (kept / "refused").exists():
        _skip((kept / "refused").read_text())
    if kind == "full":
        assert done.returncode == 1, done
        assert b"No space left" in done.stderr
        assert (kept / "f").stat().st_size == 4096
    else:
        assert done.returncode == 9, done
        assert list(kept.iterdir()) == []
    assert list(staging.iterdir()) == []


@pytest.fixture
def no_strace(monkeypatch):
    """A machine without strace."""
    monkeypatch.setattr(strace, "_refusal", lambda: "there is no strace")


@pytest.mark.usefixtures("no_strace")
def test_without_strace_a_correct_agent_conforms_in_what_can_be_seen():
    """The order of moves is judged by the kernel's word alone; syncs cannot be, and it says so."""

    report = judge(plain_command(), "37", "41", "42")

    outcomes = {one.check.number: one for one in report.results}
    assert report.exit_code == 0, told(report)
    assert outcomes[41].outcome is Outcome.PASS, told(report)
    assert outcomes[42].outcome is Outcome.NOT_APPLICABLE
    assert outcomes[42].message == "there is no strace"


@pytest.mark.usefixtures("no_strace")
def test_without_strace_a_manifest_that_comes_first_is_caught(tmp_path):
    """Kills and the kernel's word find a wrong order without a tracer."""

    mutant = next(one for one in PUBLICATION if one.name == "manifest-first")

    report = judge(mutant.write(tmp_path), *mutant.caught_by)

    assert broken(report) == set(mutant.caught_by), told(report)


#: Other ways to keep the rules.
_VARIANTS = (
    Mutant(
        "sync-of-everything",
        ("storage/42/synced",),
        "    os.fsync(descriptor)\n    os.close(descriptor)",
        "    os.sync()\n    os.close(descriptor)",
    ),
    Mutant(
        "manifest-by-a-link",
        ("storage/41/manifest-last", "storage/42/synced"),
        "            os.rename(os.path.join(self.work, name), os.path.join(self.directory, name))",
        "            os.link(os.path.join(self.work, name), os.path.join(self.directory, name))\n"
        "            os.unlink(os.path.join(self.work, name))",
    ),
)


@pytest.mark.parametrize("variant", _VARIANTS, ids=lambda one: one.name)
def test_another_way_to_keep_a_rule_is_no_violation(variant, tmp_path):
    """What is as durable, or as whole, by other calls passes the checks that look at calls."""

    report = judge(variant.write(tmp_path), *variant.caught_by)

    assert report.exit_code == 0, told(report)


def test_the_program_that_confines_needs_nothing_of_the_package():
    """It is run by itself, before the agent, with the standard library alone."""

    text = Path(confined.__file__).read_text()

    assert "import baqup_agent" not in text
    assert "from baqup_agent" not in text
