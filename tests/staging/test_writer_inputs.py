"""The ways into an artifact other than `write`: descriptors, and the output of children."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from baqup_agent.errors import (
    Aborted,
    CommandFailed,
    DataError,
    InternalError,
    IOFailure,
    JobCancelled,
)
from baqup_agent.job.cancellation import CancellationToken
from baqup_agent.job.process import ChildProcesses
from baqup_agent.security.secret import Secret
from baqup_agent.staging.pipeline import BUFFER_BYTES
from tests.waiting import eventually

from .conftest import names, put

CONTENT = os.urandom(100_000) * 30  # three buffers, the last one not full


def stored(staging, name: str = "data") -> bytes:
    return (staging.directory / ".staging" / name).read_bytes()


def in_staging(staging) -> list[str]:
    return names(staging.directory / ".staging")


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "artifact"]


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Whatever a test does, no writer's thread outlives its artifact, and no descriptor does."""
    before = descriptors()
    yield
    assert threads() == []
    assert descriptors() <= before + 2  # the two of a staging area still open


@pytest.fixture
def token() -> CancellationToken:
    return CancellationToken()


@pytest.fixture
def staging(make_staging, token):
    """A staging area as a job has it: with a cancellation, and with children."""
    children = ChildProcesses(token, lambda: dict(os.environ))
    return make_staging(check=token.check, runner=children.run)


@pytest.fixture
def source(tmp_path: Path) -> Iterator[int]:
    """A file of three buffers, open for reading."""
    path = tmp_path / "source"
    path.write_bytes(CONTENT)
    fd = os.open(path, os.O_RDONLY)
    yield fd
    os.close(fd)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for fd in ends:
        try:
            os.close(fd)
        except OSError:
            continue


def cancel_when(token: CancellationToken, ready) -> threading.Thread:
    def wait() -> None:
        eventually(ready, within_s=60)
        token.cancel(Aborted("told to stop"))

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_a_file_is_copied_whole(staging, source):
    """Without a size, to its end."""
    with staging.artifact("data", compress=False) as out:
        assert out.copy_from_fd(source) == len(CONTENT)
        assert out.bytes_in == len(CONTENT)

    assert stored(staging) == CONTENT


@pytest.mark.parametrize("size", [0, 1, BUFFER_BYTES, BUFFER_BYTES + 1, len(CONTENT)])
def test_exactly_as_many_bytes_are_read_as_asked_for(size, staging, source):
    """The file's position is behind them; what follows is not touched."""
    with staging.artifact("data", compress=False) as out:
        assert out.copy_from_fd(source, size) == size
        assert os.lseek(source, 0, os.SEEK_CUR) == size

    assert stored(staging) == CONTENT[:size]


def test_a_file_that_is_shorter_gives_what_it_has(staging, source):
    """The count tells how much that was; the artifact is good."""
    with staging.artifact("data", compress=False) as out:
        assert out.copy_from_fd(source, len(CONTENT) + 10) == len(CONTENT)
        assert out.copy_from_fd(source, 10) == 0

    assert stored(staging) == CONTENT


def test_an_offset_leaves_the_files_position_alone(staging, source):
    """As for the data between the holes of a sparse file."""
    with staging.artifact("data", compress=False) as out:
        assert out.copy_from_fd(source, 2_000_000, offset=500_000) == 2_000_000
        assert out.copy_from_fd(source, offset=len(CONTENT) - 3) == 3
        assert os.lseek(source, 0, os.SEEK_CUR) == 0

    assert stored(staging) == CONTENT[500_000:2_500_000] + CONTENT[-3:]


def test_small_files_gather_in_one_buffer(staging, source, monkeypatch):
    """A thousand of them are stored by a handful of writes, and start no thread."""
    sizes = []
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: sizes.append(len(data)) or real(fd, data))
    with staging.artifact("data", compress=False) as out:
        for number in range(1000):
            out.write(b"<header>")
            assert out.copy_from_fd(source, 900, offset=number * 900) == 900
        assert threads() == []

    assert sizes == [908_000]
    pieces = (b"<header>" + CONTENT[at : at + 900] for at in range(0, 900_000, 900))
    assert stored(staging) == b"".join(pieces)


def test_progress_is_told_piece_by_piece(staging, source):
    """The pieces add up to what was read, and none is larger than a buffer."""
    told: list[int] = []
    with staging.artifact("data") as out:
        out.write(b"before")
        out.copy_from_fd(source, on_bytes=told.append)

    assert sum(told) == len(CONTENT)
    assert 0 < max(told) <= BUFFER_BYTES


@pytest.mark.parametrize("blocking", [True, False])
def test_a_pipe_is_read_to_its_end(blocking, staging, pipe):
    """Also where its other end is slow, or the descriptor does not block."""
    reader, writer = pipe
    os.set_blocking(reader, blocking)

    def feed() -> None:
        rest = memoryview(CONTENT)
        while rest:
            rest = rest[os.write(writer, rest[:70_001]) :]
        os.close(writer)

    feeder = threading.Thread(target=feed)
    feeder.start()
    with staging.artifact("data", compress=False) as out:
        assert out.copy_from_fd(reader) == len(CONTENT)
    feeder.join()

    assert stored(staging) == CONTENT


def test_a_socket_is_read_as_well(staging):
    """As a dump over the network comes."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"row\n" * 1000)
        theirs.shutdown(socket.SHUT_WR)
        with staging.artifact("data", compress=False) as out:
            assert out.copy_from_fd(ours.fileno()) == 4000

    assert stored(staging) == b"row\n" * 1000


def test_a_source_that_cannot_be_read_does_not_spoil_the_artifact(staging, source):
    """A file with a bad block is the agent's to judge: it may fill up, or give up."""
    memory = os.open("/proc/self/mem", os.O_RDONLY)  # nothing is mapped at its beginning: EIO
    with staging.artifact("data", compress=False) as out:
        out.write(b"one ")
        with pytest.raises(OSError, match="Input/output error"):
            out.copy_from_fd(memory, 100)
        with pytest.raises(OSError, match="Bad file descriptor"):
            out.copy_from_fd(999_999)
        out.write(b"two")
    os.close(memory)

    assert stored(staging) == b"one two"


def test_an_error_of_a_listener_is_not_taken_for_one_of_the_source(staging, source):
    """What it missed nobody knows, so the artifact is given up even if the block goes on."""

    def full(_count: int) -> None:
        raise OSError(28, os.strerror(28))

    with pytest.raises(OSError, match="No space"), staging.artifact("data") as out:  # noqa: PT012
        try:
            out.copy_from_fd(source, on_bytes=full)
        except OSError:
            out.write(b"never mind")

    assert in_staging(staging) == []


def test_cancellation_is_heard_while_a_pipe_is_silent(staging, pipe, token):
    """A source that never ends cannot keep a job alive."""
    reader, writer = pipe
    os.write(writer, b"a beginning")
    with pytest.raises(JobCancelled), staging.artifact("data", compress=False) as out:  # noqa: PT012
        canceller = cancel_when(token, lambda: out.bytes_in == len(b"a beginning"))
        out.copy_from_fd(reader)
    canceller.join()

    assert in_staging(staging) == []


@pytest.mark.parametrize("way", ["write", "copy_from_fd", "run"])
def test_cancellation_ends_every_input(way, staging, token):
    """In the middle of an endless one; nothing is left, no thread and no child."""
    zero = os.open("/dev/zero", os.O_RDONLY)
    with pytest.raises(JobCancelled), staging.artifact("data") as out:  # noqa: PT012
        canceller = cancel_when(token, lambda: out.bytes_in > 20 * BUFFER_BYTES)
        if way == "run":
            out.run(["cat", "/dev/zero"])
        elif way == "copy_from_fd":
            out.copy_from_fd(zero)
        else:
            while True:
                out.write(bytes(50_000))
    canceller.join()
    os.close(zero)

    assert in_staging(staging) == []
    assert staging.open_writers == ()


def test_the_output_of_a_child_is_the_content(staging):
    """With its environment, its directory and its stdin; stderr is kept."""
    with staging.artifact("data", compress=False) as out:
        out.write(b"before\n")
        finished = out.run(
            ["sh", "-c", 'pwd; echo "$WORD"; cat; echo done >&2'],
            cwd="/",
            env={"WORD": Secret("hush")},
            stdin=b"fed\n",
            timeout_s=60,
        )
        out.write(b"after\n")

    assert stored(staging) == b"before\n/\nhush\nfed\nafter\n"
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, b"", "done")


def test_the_output_of_a_child_may_be_long(staging):
    """Longer than all buffers together."""
    with staging.artifact("zeros") as out:
        out.run(["head", "-c", "30000000", "/dev/zero"])

    assert out.bytes_in == 30_000_000
    assert out.artifact.size_bytes < 100_000


FAILING = {
    "dies at its last byte": (["sh", "-c", "head -c 3000000 /dev/zero; echo why >&2; exit 3"], "3"),
    "is killed": (["sh", "-c", "echo half; echo why >&2; kill -9 $$"], "SIGKILL"),
    "runs out of time": (["sh", "-c", "echo half; echo why >&2; sleep 1000"], "ended after its"),
}


@pytest.mark.parametrize(("argv", "told"), FAILING.values(), ids=FAILING)
def test_the_artifact_of_a_child_that_fails_is_given_up(argv, told, staging):
    """Half a dump is none, even if the block goes on; the end of stderr is in the message."""
    with pytest.raises(CommandFailed) as caught, staging.artifact("data") as out:  # noqa: PT012
        try:
            out.run(argv, timeout_s=1 if "sleep" in argv[-1] else 60)
        except CommandFailed:
            out.write(b"never mind")

    assert told in caught.value.message
    assert "why" in caught.value.message
    assert in_staging(staging) == []
    put(staging, "data", b"the name is free again")


def test_a_child_that_is_tried_again_does_not_follow_its_own_half_dump(staging, token, tmp_path):
    """Also where the artifact is but the stdout that `Job.run` is given."""
    children = ChildProcesses(token, lambda: dict(os.environ))
    second = f"[ -e {tmp_path}/second ]"
    script = f"echo half; {second} || {{ touch {tmp_path}/second; exit 3; }}; echo whole"

    with (  # noqa: PT012
        pytest.raises(CommandFailed, match="exited with 3"),
        staging.artifact("data") as out,
    ):
        with pytest.raises(CommandFailed):
            children.run(["sh", "-c", script], stdout=out)
        children.run(["sh", "-c", script], stdout=out)

    assert in_staging(staging) == []


def test_a_child_that_may_fail_leaves_the_artifact_to_its_caller(staging, token):
    """Who does not check the exit code judges by other means."""
    children = ChildProcesses(token, lambda: dict(os.environ))
    with staging.artifact("data", compress=False) as out:
        children.run(["sh", "-c", "echo found; exit 1"], stdout=out, check=False)

    assert stored(staging) == b"found\n"


def test_a_grandchild_that_holds_the_output_outlives_no_time_limit(staging, tmp_path):
    """It left the group that is killed; the error is that of the child, with its last words."""
    note = tmp_path / "pid"
    nap = f"echo why >&2; setsid sh -c 'echo $$ >{note}; exec sleep 30'"
    begin = time.monotonic()
    try:
        with (
            pytest.raises(CommandFailed, match="was ended after its 1 s: why"),
            staging.artifact("data") as out,
        ):
            out.run(["sh", "-c", nap], timeout_s=1)
        assert time.monotonic() - begin < 15
    finally:
        os.kill(int(note.read_text()), signal.SIGKILL)

    assert in_staging(staging) == []


def test_a_check_ends_what_a_silent_pipe_or_an_endless_one_gives(staging, pipe):
    """And with it the artifact, even if the block goes on."""
    zero = os.open("/dev/zero", os.O_RDONLY)
    for fd in (pipe[0], zero):
        looks = iter([None, None])

        def check(looks=looks) -> None:
            if next(looks, "enough"):
                raise DataError("enough")

        with (  # noqa: PT012
            pytest.raises(DataError, match="enough"),
            staging.artifact("data") as out,
        ):
            with pytest.raises(DataError):
                out.copy_from_fd(fd, check=check)
            out.write(b"never mind")
    os.close(zero)

    assert in_staging(staging) == []


def test_a_child_that_cannot_start_gives_the_artifact_up(staging):
    """The message names the command and the remedy."""
    with (
        pytest.raises(CommandFailed, match=r"no-such-command.*installed"),
        staging.artifact("data") as out,
    ):
        out.run(["no-such-command"])

    assert in_staging(staging) == []


def test_a_full_disk_ends_the_child(small_disk, make_staging, token):
    """An endless one as well; the error is the disk's, with number and path."""
    children = ChildProcesses(token, lambda: dict(os.environ))
    staging = make_staging(at=small_disk / "staging", runner=children.run)

    with (
        pytest.raises(IOFailure, match=r"\.staging/data'.*No space left") as caught,
        staging.artifact("data", compress=False) as out,
    ):
        out.run(["cat", "/dev/zero"])

    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == 28
    assert in_staging(staging) == []


def test_an_area_without_a_job_runs_no_children(make_staging):
    """The message says what to do instead."""
    with (
        pytest.raises(InternalError, match="copy_from_fd"),
        make_staging().artifact("data") as out,
    ):
        out.run(["true"])


@pytest.mark.parametrize("call", [lambda out: out.copy_from_fd(0), lambda out: out.run(["true"])])
def test_a_closed_artifact_takes_nothing(call, staging):
    """Neither from a descriptor nor from a child."""
    with staging.artifact("data") as out:
        out.write(b"x")

    with pytest.raises(InternalError, match="closed"):
        call(out)
