"""What an agent reads breaks under it: a broken disk, files that go, children that die, keys."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.sweep_author import noise
from tests.faults.sweep_outcome import AUTHOR, FS, Outcome, outcome, ran, started
from tests.faults.sweep_steps import tracer
from tests.staging.forms import AES, AES_KEY, AGE, KEYS
from tests.waiting import eventually

__all__ = ["ran"]

RETAIN = pytest.mark.parametrize("retain", [True, False], ids=["retain", "remove"])
READS = "?read,?readv,?pread64,?preadv,?preadv2"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Many small files, and one that is read in several pieces."""
    source = tmp_path / "source"
    source.mkdir()
    for number in range(30):
        (source / f"file{number:02}").write_bytes(noise(1000 + number))
    (source / "large").write_bytes(noise(6_000_000))
    return source


# the source


@pytest.mark.parametrize(
    ("calls", "leaf", "nth"),
    [
        (READS, "file07", "1"),
        (READS, "large", "1"),
        (READS, "large", "3"),
        ("getdents64", "", "1+"),  # the estimate of the total reads it first, and need not succeed
    ],
)
def test_a_source_that_cannot_be_read_is_told(
    calls: str, leaf: str, nth: str, source: Path, ran: Callable[..., Outcome]
) -> None:
    """A disk that gives EIO, in a small file, in a piece of a large one, or for a directory."""
    broken = [
        *tracer(), "-o", os.devnull, "-P", str(source / leaf), "-e", f"trace={calls}",
        "-e", f"inject={calls}:error=EIO:when={nth}",
    ]  # fmt: skip
    found = ran(program=[*broken, *FS], source_path=source)

    found.require_failure(74, "IO_ERROR", leaf, "Input/output error", "source")
    assert found.staged == []


def test_a_source_that_is_not_there_is_told(tmp_path: Path, ran: Callable[..., Outcome]) -> None:
    """Its volume was not mounted."""
    found = ran(source_path=tmp_path / "nowhere")
    found.require_failure(69, "SOURCE_UNAVAILABLE", "nowhere")


def test_a_source_that_vanishes_under_the_walk_is_told(source: Path, tmp_path: Path) -> None:
    """The agent is stopped when it opens a file, everything is deleted, and it goes on.

    What was archived before is published, what is missing is listed.
    """
    names = [entry.name for entry in os.scandir(source)]
    halfway, trace = names[len(names) // 2], tmp_path / "trace"
    stopping = [
        *tracer(), "-o", str(trace), "-P", halfway, "-e", "trace=openat",
        "-e", "inject=openat:signal=STOP:when=1",
    ]  # fmt: skip
    with started(tmp_path, program=[*stopping, *FS], source_path=source) as run:
        pid = stopped(trace)
        shutil.rmtree(source)
        os.kill(pid, signal.SIGCONT)
        found = outcome(run)

    found.require_success()
    assert found.events["FILE_VANISHED"] >= len(names) // 4
    assert run.manifest is not None
    metadata = run.manifest["source_metadata"]
    assert metadata["incidents"]["FILE_VANISHED"]["count"] == found.events["FILE_VANISHED"]
    assert metadata["files_included"] + found.events["FILE_VANISHED"] == len(names)


def stopped(trace: Path) -> int:
    """Wait until the tracer tells that the agent has stopped; return the agent's id."""
    line = eventually(
        lambda: next((line for line in lines(trace) if "stopped by SIGSTOP" in line), ""),
        within_s=60,
    )
    return int(line.split()[0])


def lines(trace: Path) -> list[str]:
    return trace.read_text().splitlines() if trace.exists() else []


# children


@RETAIN
@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("head -c 300000 /dev/urandom; echo lost the server >&2; exit 3", "lost the server"),
        ("head -c 300000 /dev/urandom; kill -9 $$", ""),
        ("exec head -c 300000 /dev/urandom >&- 2>&1", ""),
        ("head -c 300000 /dev/urandom; exec >&-; exit 3", ""),
    ],
    ids=["fails", "killed", "never wrote", "closed its pipe"],
)
def test_a_child_that_dies_after_its_last_byte_is_told(
    script: str, words: str, retain: bool, ran: Callable[..., Outcome]
) -> None:
    """Half a dump is none, whole as it may look; the artifact before it is kept as configured."""
    command = json.dumps(["sh", "-c", script])
    found = ran(program=AUTHOR, source_command=command, artifact_retain_on_failure=retain)

    found.require_failure(1, "COMMAND_FAILED", words)
    assert found.staged == (["first.bin.zst"] if retain else None)


def test_a_child_that_closes_its_pipe_early_and_succeeds_is_fine(
    ran: Callable[..., Outcome],
) -> None:
    """The end of its output is no failure of its own."""
    command = json.dumps(["sh", "-c", "head -c 300000 /dev/urandom; exec >&-; exit 0"])
    ran(program=AUTHOR, source_command=command).require_success()


@pytest.mark.parametrize("unheard", ["stderr", "stdout"])
def test_a_closed_pipe_of_its_own_does_not_end_a_backup(
    unheard: str, source: Path, ran: Callable[..., Outcome]
) -> None:
    """Nobody reads what the agent says; it backs up all the same."""
    ran(source_path=source, unheard=unheard).require_success()


# keys


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [(AES, None), (AES, "too short"), (AES, base64.b64encode(bytes(31)).decode()),
     (AGE, None), (AGE, "too short"), (AGE, "age1nonsense")],
)  # fmt: skip
def test_a_key_that_is_missing_or_none_is_told_before_any_work(
    algorithm: str, key: str | None, source: Path, ran: Callable[..., Outcome]
) -> None:
    """Nothing is staged without its encryption; and the key itself is not repeated."""
    secret = {} if key is None else {"secret_artifact_key": key}
    found = ran(
        source_path=source, artifact_encrypt=True, artifact_encrypt_algorithm=algorithm, **secret
    )

    found.require_failure(64, "CONFIG_INVALID", "BAQUP_SECRET_ARTIFACT_KEY")
    assert not found.staged
    assert key is None or key not in found.error["message"]


@pytest.mark.parametrize("key", ["missing", "wrong", "malformed"])
@pytest.mark.parametrize("algorithm", [AES, AGE])
def test_a_restore_without_the_right_key_touches_nothing(
    algorithm: str, key: str, tmp_path: Path, source: Path, ran: Callable[..., Outcome]
) -> None:
    """Another key than the one that encrypted is told from damage; the target stays as it was."""
    form = {"artifact_encrypt": True, "artifact_encrypt_algorithm": algorithm}
    backup = ran(source_path=source, secret_artifact_key=KEYS[algorithm], **form)
    backup.require_success()
    wrong = {AES: base64.b64encode(bytes(32)).decode(), AGE: "another passphrase of age"}
    secret = {
        "missing": {},
        "wrong": {"secret_artifact_key": wrong[algorithm]},
        "malformed": {"secret_artifact_key": "short"},
    }[key]
    target = tmp_path / "target"
    target.mkdir()
    found = ran("restore", source_path=backup.directory, target_path=target, **secret)

    found.require_failure(64, "CONFIG_INVALID", "BAQUP_SECRET_ARTIFACT_KEY")
    assert [*target.iterdir()] == []


def test_the_key_of_these_tests_is_one() -> None:
    """Or the refusals above would prove nothing."""
    assert len(base64.b64decode(AES_KEY)) == 32
