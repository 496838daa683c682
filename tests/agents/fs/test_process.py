"""agent-fs as its controller meets it: a process, an environment, files and an exit code."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import baqup_agent
from tests.agent_process import AgentProcess
from tests.trees import picture

AGENT = [sys.executable, "-m", "baqup_agent.agents.fs"]

Start = Callable[..., AgentProcess]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts agents that are ended with the test."""
    with contextlib.ExitStack() as stack:

        def start(role: str, **variables: object) -> AgentProcess:
            environ = {f"BAQUP_{name.upper()}": str(value) for name, value in variables.items()}
            agent = AgentProcess(tmp_path, role, program=AGENT, environ=environ)
            stack.callback(agent.end)
            return agent

        yield start


@pytest.fixture
def tree(source: Path) -> Path:
    """A small tree with something of each kind."""
    (source / "sub" / "empty").mkdir(parents=True)
    (source / "sub" / "file").write_bytes(b"content" * 1000)
    (source / "sub" / "second").hardlink_to(source / "sub" / "file")
    (source / "link").symlink_to("sub/file")
    (source / os.fsdecode(b"\xff\n")).write_bytes(b"")
    (source / "sub" / "file").chmod(0o640)
    os.utime(source / "sub", ns=(1, 1_600_000_000_123_456_789))
    return source


def test_a_backup_and_its_restore(start: Start, tree: Path, target: Path) -> None:
    """A snapshot publishes an archive for tar and for restore, which brings the tree back."""
    (tree / "skip.tmp").touch()
    os.mkfifo(tree / "fifo")
    snapshot = start("snapshot", source_path=tree, source_exclude="*.tmp")
    assert snapshot.wait() == 0

    assert snapshot.manifest is not None
    assert snapshot.manifest["source_metadata"]["files_included"] == 4
    assert snapshot.manifest["source_metadata"]["files_excluded"] == 1
    (event,) = snapshot.of("event")
    assert (event["code"], event["severity"], event["count"]) == ("SPECIAL_FILE_SKIPPED", "info", 1)
    assert snapshot.status["status"] == "success"
    assert snapshot.status["metrics"]["bytes_processed"] == 7000
    listed = subprocess.run(
        ["tar", "--zstd", "-tf", snapshot.directory / "data.tar.zst"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert "./sub/file" in listed.stdout.splitlines()

    restore = start("restore", source_path=snapshot.directory, target_path=target)
    assert restore.wait() == 0

    (tree / "skip.tmp").unlink()
    (tree / "fifo").unlink()
    os.utime(tree, ns=(1, target.stat().st_mtime_ns))
    assert picture(target) == picture(tree)
    assert restore.status["status"] == "success"
    assert restore.manifest is not None
    assert restore.manifest["role"] == "restore"


@pytest.mark.parametrize("algorithm", ["gzip", "none"])
def test_a_backup_in_another_compression(
    start: Start, tree: Path, target: Path, algorithm: str
) -> None:
    """Restore finds the archive under the suffix that the compression gave it."""
    snapshot = start("snapshot", source_path=tree, artifact_compress_algorithm=algorithm)
    assert snapshot.wait() == 0

    assert start("restore", source_path=snapshot.directory, target_path=target).wait() == 0

    assert picture(target) == picture(tree)


FAILURES = {
    "no source variable": ("snapshot", {}, 64, "BAQUP_SOURCE_PATH"),
    "no target variable": ("restore", {"source_path": "{source}"}, 64, "BAQUP_TARGET_PATH"),
    "absent source": ("snapshot", {"source_path": "{base}/gone"}, 69, "BAQUP_SOURCE_PATH"),
    "source holds staging": ("snapshot", {"source_path": "{base}"}, 64, "lies inside"),
    "a refused link": (
        "snapshot", {"source_path": "{source}", "source_follow_symlinks": "fail"}, 65,
        "symbolic link",
    ),
    "too many files": (
        "snapshot", {"source_path": "{source}", "source_max_files": 1}, 65, "MAX_FILES=1",
    ),
    "no backup": (
        "restore", {"source_path": "{source}", "target_path": "{base}/new"}, 65, "manifest",
    ),
    "a full target": (
        "restore", {"source_path": "{source}", "target_path": "{base}/full"}, 73, "not empty",
    ),
}  # fmt: skip


@pytest.mark.parametrize("failure", FAILURES)
def test_every_failure_has_its_code_and_one_line(
    start: Start, tree: Path, tmp_path: Path, failure: str
) -> None:
    """Bad input ends with the contract's exit code, a line that names it, and no manifest."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "theirs").touch()
    role, variables, code, words = FAILURES[failure]
    places = {"source": str(tree), "base": str(tmp_path)}
    agent = start(role, **{name: str(v).format(**places) for name, v in variables.items()})

    assert agent.wait() == code

    assert agent.manifest is None
    assert "Traceback" not in agent.stderr
    assert any(words in line["message"] or words in str(line) for line in agent.log)


def test_a_snapshot_that_is_aborted_publishes_nothing(
    start: Start, source: Path, tmp_path: Path
) -> None:
    """SIGTERM during the work ends it with exit code 1 and without a manifest."""
    (source / "long").write_text(os.urandom(40 << 20).hex())
    agent = start("snapshot", source_path=source, artifact_compress_level=15)
    agent.wait_until(lambda: any(p.get("bytes_processed") for p in agent.of("progress")))

    agent.signal(signal.SIGTERM)

    assert agent.wait() == 1
    assert agent.manifest is None
    assert agent.status["error"]["code"] == "ABORTED"


def test_the_description_needs_nothing_slow() -> None:
    """`--info` is answered without importing what only the work needs."""
    script = (
        "import sys\n"
        "from baqup_agent.agents.fs import FsAgent\n"
        "try:\n"
        "    FsAgent.main(['--info'])\n"
        "except SystemExit as end:\n"
        "    print(end.code, file=sys.stderr)\n"
        "print(*sys.modules, sep='\\n', file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        check=True, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(baqup_agent.__file__).parents[1])},
    )  # fmt: skip

    info = json.loads(done.stdout)
    assert info["agent"] == "agent-fs"
    assert info["roles"] == ["snapshot", "restore"]
    code, *modules = done.stderr.splitlines()
    assert code == "0"
    slow = {
        "attrs",
        "attr",
        "tarfile",
        "backports.zstd",
        "redis",
        "jsonschema",
        "loguru",
    }
    assert slow.isdisjoint(modules)
    own = {name for name in modules if name.startswith("baqup_agent.agents.fs.")}
    assert own == {"baqup_agent.agents.fs.target", "baqup_agent.agents.fs.variables"}
