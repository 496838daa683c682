"""Agents that are none: the suite reports, ends in bounded time and memory, leaves nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from tests.conformance.judging import HERE
from tests.waiting import eventually

BAD = HERE / "bad"

#: What the suite is given to judge all of one agent, seconds.
LIMIT_S = 6

#: Seconds in which it has to end then: it asks an agent once more for its name, and cleans up.
ENDS_WITHIN_S = 75

#: The most memory that the suite may take, MiB: it keeps 8 MiB of each stream of a run.
MOST_MIB = 400


@frozen
class Judged:
    """What came of an agent, and what the suite took and left."""

    code: int
    report: dict[str, Any]
    page: str
    stderr: str
    took_s: float
    most_mib: float
    left_files: list[Path]
    mark: str

    def outcomes(self) -> dict[str, str]:
        return {one["id"]: one["outcome"] for one in self.report["results"]}

    def messages(self) -> str:
        return "\n".join(
            "\n".join([one["message"], *one["evidence"]]) for one in self.report["results"]
        )


#: A program that runs another and tells the most memory that it had.
_MEASURED = """
import json, os, resource, sys
pid = os.posix_spawn(sys.executable, [sys.executable, *sys.argv[2:]], os.environ)
_, status, usage = os.wait4(pid, 0)
with open(sys.argv[1], "w") as file:
    json.dump([os.waitstatus_to_exitcode(status), usage.ru_maxrss / 1024], file)
"""


def judged(program: Path, folder: Path, *only: str, limit_s: float = LIMIT_S) -> Judged:
    """Have the command line judge a program, with a temporary directory of its own."""
    temporary, outside = folder / "tmp", folder / "outside"
    temporary.mkdir()
    outside.mkdir()
    (outside / "kept.txt").write_text("kept")
    mark = uuid.uuid4().hex
    patterns = [word for one in only for word in ("--only", one)]
    conform = ["-m", "baqup_agent.cli", "conform", *patterns, "--limit", str(limit_s)]
    conform += ["--seed", "1", "--json", "r.json", "--html", "r.html", "--", str(program)]
    began_s = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, "measured", *conform],
        cwd=folder,
        # The suite passes on what begins with LC_, so every process of it can be known.
        env={
            **os.environ, "TMPDIR": str(temporary), "LC_MARK": mark, "LC_BAD_OUTSIDE": str(outside)
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=True,
        timeout=150,
    )  # fmt: skip
    took_s = time.monotonic() - began_s
    code, most_mib = json.loads((folder / "measured").read_text())
    print(f"{program.name}: code {code}, {took_s:.1f} s, {most_mib:.0f} MiB")
    assert (outside / "kept.txt").read_text() == "kept"
    return Judged(
        code,
        json.loads((folder / "r.json").read_text()),
        (folder / "r.html").read_text(),
        done.stderr,
        took_s,
        most_mib,
        list(temporary.iterdir()),
        mark,
    )


def living(mark: str) -> list[str]:
    """Return the processes that carry a mark, however far they moved."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


#: Each agent, the checks that it is held against, and how one of them has to come out.
CASES = [
    ("garbage.py", ("1", "8"), {"contract/1/info": "fail", "contract/8/unknown-arguments": "fail"}),
    ("endless.sh", ("1", "40"), {"contract/1/info": "error"}),
    ("deaf.sh", ("1", "40"), {"contract/1/info": "fail", "storage/40/manifest-matches": "error"}),
    ("forks_away.py", ("1", "8"), {"contract/1/info": "fail"}),
    ("flood.py", ("40", "46"), {"storage/40/manifest-matches": "error"}),
    ("huge_manifest.py", ("40",), {"storage/40/manifest-matches": "fail"}),
    ("deep.py", ("40",), {"storage/40/manifest-matches": "fail"}),
    ("links_out.py", ("40",), {"storage/40/manifest-matches": "fail"}),
]


@pytest.mark.parametrize(("name", "only", "expected"), CASES, ids=[one[0] for one in CASES])
def test_a_bad_agent_is_reported_and_leaves_nothing(name, only, expected, tmp_path):
    """Bounded in time and memory, without a process, a file or a traceback afterwards."""

    found = judged(BAD / name, tmp_path, *only)

    eventually(lambda: not living(found.mark), within_s=20)
    assert found.left_files == []
    assert found.took_s < ENDS_WITHIN_S
    assert found.most_mib < MOST_MIB
    assert "Traceback" not in found.stderr
    assert "a bug of the suite" not in found.messages()
    outcomes = found.outcomes()
    assert {one: outcomes.get(one) for one in expected} == expected, found.messages()
    assert found.code == found.report["exit_code"] in (1, 2)
    assert found.page.endswith("</html>\n")
    assert len(found.page) < 4_000_000


def test_a_command_that_does_not_exist_is_one_line(tmp_path):
    """There is nothing to judge: exit code 2, one line, no report."""

    done = subprocess.run(
        [sys.executable, "-m", "baqup_agent.cli", "conform", "--html", "r.html", "--", "./none"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "./none" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_report_that_cannot_be_written_is_one_line(tmp_path):
    """The page's directory is not there: one line, and no verdict by the exit code."""

    program = tmp_path / "agent"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-m", "baqup_agent.cli", "conform", "--only", "1",
         "--html", "none/r.html", "--", str(program)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "none/r.html cannot be written" in done.stderr
