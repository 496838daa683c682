"""Child processes: real ones."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from baqup_agent.errors import Aborted, CommandFailed, DataError, InternalError, JobCancelled
from baqup_agent.job.cancellation import CancellationToken
from baqup_agent.job.child_streams import STDERR_KEPT_BYTES
from baqup_agent.job.process import ChildProcesses
from tests.agent_process import alive
from tests.waiting import eventually


@pytest.fixture
def token() -> CancellationToken:
    return CancellationToken()


@pytest.fixture
def children(token: CancellationToken) -> ChildProcesses:
    return ChildProcesses(
        token,
        lambda: {"PATH": os.environ["PATH"], "KEPT": "yes"},
        clean=lambda text: text.replace("hunter2", "[REDACTED]"),
    )


def test_output_code_and_errors_are_returned(children: ChildProcesses) -> None:
    """stdout is collected, stderr decoded, the exit code given where it is not checked."""
    finished = children.run(["sh", "-c", "echo out; echo err >&2; exit 7"], check=False)

    assert finished.stdout == b"out\n"
    assert finished.stderr == "err"
    assert finished.returncode == 7


def test_stdin_is_fed_and_a_large_one_does_not_block(children: ChildProcesses) -> None:
    """Ten megabytes pass through both pipes; a child that reads nothing is no problem either."""
    data = os.urandom(10_000_000)

    assert children.run(["cat"], stdin=data).stdout == data
    assert children.run(["true"], stdin=data).returncode == 0


def test_stdin_is_fed_from_any_stream(children: ChildProcesses) -> None:
    """A stream that is no file, such as an opened artifact, is read piece by piece."""
    content = bytes(range(256)) * 40_000
    stream = io.BufferedReader(Stream(content))

    finished = children.run(["sh", "-c", "wc -c"], stdin=stream)

    assert int(finished.stdout) == len(content)


def test_a_stdin_that_cannot_be_read_is_the_error(children: ChildProcesses, tmp_path: Path) -> None:
    """And the child is ended: it never sees an end of its input that looks like all there was."""
    stream = io.BufferedReader(Stream(b"x" * 5000, then=DataError("the artifact is corrupt")))
    taken = tmp_path / "taken"

    with pytest.raises(DataError, match="corrupt"):
        children.run(["sh", "-c", f"cat >/dev/null; touch '{taken}'"], stdin=stream)
    assert not taken.exists()


def test_a_child_that_does_not_read_a_stream_is_not_waited_for(children: ChildProcesses) -> None:
    """What nobody wants to read does not hold the job up."""
    finished = children.run(["true"], stdin=io.BufferedReader(Stream(b"x" * 10_000_000)))

    assert finished.returncode == 0


def test_a_packed_file_is_fed_unpacked(children: ChildProcesses, tmp_path: Path) -> None:
    """It has a descriptor, but that is of what it is packed in."""
    path = tmp_path / "dump.gz"
    path.write_bytes(gzip.compress(b"create table x;\n"))

    stream: Any
    with gzip.open(path) as stream:
        assert children.run(["cat"], stdin=stream).stdout == b"create table x;\n"


def test_a_file_is_fed_from_where_it_was_read_to(children: ChildProcesses, tmp_path: Path) -> None:
    """Not from where it has read ahead to; and the child reads the file itself."""
    path = tmp_path / "dump"
    path.write_bytes(b"head" + b"rest" * 1000)
    where = ["sh", "-c", "cat; readlink /proc/self/fd/0"]

    for buffering in (-1, 0):
        with path.open("rb", buffering=buffering) as stream:
            assert stream.read(4) == b"head"
            finished = children.run(where, stdin=stream)
        assert finished.stdout == b"rest" * 1000 + f"{path}\n".encode()


def test_a_pipe_is_fed_with_what_was_read_ahead_of_it(children: ChildProcesses) -> None:
    """What a stream holds of it already belongs to the child as well."""
    reader, writer = os.pipe()
    os.write(writer, b"one\ntwo\nthree\n")
    os.close(writer)

    with open(reader, "rb") as stream:  # noqa: PTH123
        assert stream.readline() == b"one\n"
        assert children.run(["cat"], stdin=stream).stdout == b"two\nthree\n"


def test_a_class_of_ones_own_is_asked_for_what_to_feed(
    children: ChildProcesses, tmp_path: Path
) -> None:
    """It may count, limit or check what is read of the file it is."""

    class Loud(io.FileIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return (super().read(size) or b"").upper()

    path = tmp_path / "dump"
    path.write_bytes(b"content")

    with Loud(path) as stream:
        assert children.run(["cat"], stdin=stream).stdout == b"CONTENT"


def test_a_stdin_of_text_is_refused(children: ChildProcesses, tmp_path: Path) -> None:
    """Before anything is started; the message says what to do."""
    path = tmp_path / "dump"
    path.write_bytes(b"content")
    stream: Any = path.open(encoding="utf-8")

    with stream, pytest.raises(InternalError, match="open the file with 'rb'"):
        children.run(["cat"], stdin=stream)


def test_a_failure_carries_exit_code_and_stderr(children: ChildProcesses) -> None:
    """So that an agent can tell a refused password from an unreachable server."""
    with pytest.raises(CommandFailed) as caught:
        children.run(["sh", "-c", "echo first >&2; echo last >&2; exit 7"])

    assert caught.value.returncode == 7
    assert caught.value.stderr == "first\nlast"


def test_pieces_of_output_are_counted_as_they_come(children: ChildProcesses) -> None:
    """The sizes told add up to the output."""
    sizes: list[int] = []
    finished = children.run(["sh", "-c", "seq 100000"], on_bytes=sizes.append)

    assert sum(sizes) == len(finished.stdout) > 0


class Stream(io.RawIOBase):
    """A stream without a descriptor, and perhaps with an error at its end."""

    def __init__(self, content: bytes, then: Exception | None = None) -> None:
        self._content = io.BytesIO(content)
        self._then = then

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        count = self._content.readinto(buffer)
        if not count and self._then is not None:
            raise self._then
        return count


def test_output_is_streamed_to_a_sink(children: ChildProcesses) -> None:
    """Pieces go to the sink as they come; nothing is collected."""
    sink = io.BytesIO()

    finished = children.run(["sh", "-c", "head -c 3000000 /dev/zero"], stdout=sink)

    assert finished.stdout == b""
    assert sink.getvalue() == bytes(3_000_000)


def test_the_environment_is_the_given_one(children: ChildProcesses) -> None:
    """Inherited variables plus those passed, and no others."""
    out = children.run(["env"], env={"PGPASSWORD": "x"}).stdout.decode()

    assert set(out.split()) >= {"KEPT=yes", "PGPASSWORD=x"}
    assert "HOME=" not in out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            ["sh", "-c", "echo a >&2; echo 'no space hunter2' >&2; exit 3"],
            "sh exited with 3: no space [REDACTED]",
        ),
        (["sh", "-c", "exit 1"], "sh exited with 1, without a word on stderr"),
        (["sh", "-c", "kill -9 $$"], "sh was killed by SIGKILL, without a word on stderr"),
        (["/no/such/program"], "could not be started: No such file or directory"),
        (["/"], "could not be started: Permission denied"),
    ],
)
def test_a_failure_is_one_line_with_the_reason(
    children: ChildProcesses, argv: list[str], message: str
) -> None:
    """Command, way of ending and the last line of stderr, without secrets."""
    with pytest.raises(CommandFailed) as caught:
        children.run(argv)

    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_only_the_end_of_a_flood_of_errors_is_kept(children: ChildProcesses) -> None:
    """Megabytes of stderr cost 64 KiB, and the last line is among them."""
    code = "import sys\nfor n in range(200000): print('line', n, 'x' * 40, file=sys.stderr)"

    finished = children.run([sys.executable, "-c", code])

    assert finished.stderr.endswith("x" * 40)
    assert "line 199999 " in finished.stderr
    assert len(finished.stderr) <= STDERR_KEPT_BYTES


@pytest.mark.parametrize(
    ("conduct", "end"), [("exec sleep 3600", "mine"), ("exec yes theirs >&2", "theirs")]
)
def test_a_grandchild_that_holds_stderr_is_not_waited_for(
    children: ChildProcesses, tmp_path: Path, conduct: str, end: str
) -> None:
    """What the child itself wrote is there, whether its offspring is silent or never stops."""
    note = tmp_path / "pid"
    try:
        finished = children.run(
            ["sh", "-c", f"echo mine >&2; ({conduct}) >/dev/null & echo $! >{note}"]
        )
    finally:
        os.kill(int(note.read_text()), signal.SIGKILL)

    assert end[:4] in finished.stderr
    assert len(finished.stderr) <= STDERR_KEPT_BYTES


@pytest.fixture
def left_behind(tmp_path: Path) -> Iterator[str]:
    """The beginning of a script: ``nap`` sleeps in another session, until the test is over.

    ``mutter`` does the same, but not silently; ``napping`` waits until either does.
    """
    note = tmp_path / "pids"
    note.touch()
    mutter = "while sleep 0.01; do echo; done"
    script = f"mutter() {{ setsid sh -c 'echo $$ >>{note}; {mutter}'; }}; "
    script += f"nap() {{ setsid sh -c 'echo $$ >>{note}; exec sleep 30'; }}; "
    yield script + f"napping() {{ until [ -s {note} ]; do sleep 0.01; done; }}; "
    for pid in note.read_text().split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)


class Full:
    """Takes nothing."""

    def write(self, data: bytes) -> None:
        raise OSError(28, "No space left on device")


class Endless(io.RawIOBase):
    """Gives whatever is asked for."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        return len(buffer)


def test_a_grandchild_that_outlives_a_failure_takes_nothing_of_others(
    children: ChildProcesses, left_behind: str
) -> None:
    """What listens to its stderr has a descriptor of its own, whose number nobody else gets."""
    reader, writer = os.pipe()
    with pytest.raises(OSError, match="No space"):
        children.run(
            ["sh", "-c", left_behind + "nap >/dev/null & napping; echo x; exec sleep 30"],
            stdout=Full(),
        )

    readers = [reader, *(os.dup(reader) for _ in range(8))]  # on the numbers that became free
    os.write(writer, b"mine")
    os.close(writer)
    for thread in threading.enumerate():
        if thread.name == "child-stderr":
            thread.join(1)
    read = os.read(reader, 10)
    for fd in readers:
        os.close(fd)
    assert read == b"mine"


def test_a_failure_is_no_end_of_the_input(children: ChildProcesses, tmp_path: Path) -> None:
    """The child is ended first: it may not take what it was fed so far for all there was."""
    taken = tmp_path / "taken"
    script = f"echo x; cat >/dev/null; touch '{taken}'"

    with pytest.raises(OSError, match="No space"):
        children.run(["sh", "-c", script], stdin=io.BufferedReader(Endless()), stdout=Full())

    assert not taken.exists()


def test_a_grandchild_that_holds_stdin_unread_is_not_waited_for(
    children: ChildProcesses, left_behind: str
) -> None:
    """The child has ended well, so what it left unread nobody needs; nor is it read any more."""
    begin = time.monotonic()
    stream = Stream(bytes(10_000_000))

    finished = children.run(
        ["sh", "-c", left_behind + "exec 3<&0; (exec <&3 >/dev/null 2>&1; nap) & napping"],
        stdin=io.BufferedReader(stream),
    )

    assert finished.returncode == 0
    assert time.monotonic() - begin < 15
    assert not [thread for thread in threading.enumerate() if thread.name == "child-stdin"]


@pytest.mark.parametrize("conduct", ["nap", "mutter"])
@pytest.mark.parametrize("sink", [None, io.BytesIO()])
def test_a_grandchild_that_holds_stdout_outlives_no_time_limit(
    children: ChildProcesses, left_behind: str, sink: io.BytesIO | None, conduct: str
) -> None:
    """It left the group that is killed, but nobody goes on reading what it may say."""
    begin = time.monotonic()

    with pytest.raises(CommandFailed, match=r"was ended after its 1 s: why"):
        children.run(
            ["sh", "-c", left_behind + f"echo why >&2; {conduct}"], stdout=sink, timeout_s=1
        )

    assert time.monotonic() - begin < 15


def test_a_child_that_takes_too_long_is_killed_with_its_children(
    children: ChildProcesses,
) -> None:
    """The time limit ends the whole group."""
    nap = f"3600.{uuid.uuid4().int % 10**9}"

    with pytest.raises(CommandFailed, match=r"was ended after its 0\.2 s"):
        children.run(["sh", "-c", f"sleep {nap}; true"], timeout_s=0.2)

    eventually(lambda: not list(alive(nap)))


def test_a_sink_that_fails_ends_the_child(children: ChildProcesses) -> None:
    """The sink's error is raised, and the child does not outlive it."""
    nap = f"3600.{uuid.uuid4().int % 10**9}"

    with pytest.raises(OSError, match="No space"):
        children.run(["sh", "-c", f"echo x; exec sleep {nap}"], stdout=Full())

    assert list(alive(nap)) == []


def test_termination_ends_every_child(
    children: ChildProcesses, token: CancellationToken, tmp_path: Path
) -> None:
    """SIGTERM first, SIGKILL for those that ignore it; the callers see the cancellation."""
    nap = f"3600.{uuid.uuid4().int % 10**9}"
    ends: list[BaseException] = []

    def run(script: str) -> None:
        try:
            children.run(["sh", "-c", script])
        except JobCancelled as error:
            ends.append(error)

    polite = f"trap 'touch {tmp_path}/asked; exit' TERM; sleep {nap} & wait"
    deaf = f"trap '' TERM; sleep {nap}; true"
    threads = [threading.Thread(target=run, args=(script,)) for script in (polite, deaf)]
    for thread in threads:
        thread.start()
    eventually(lambda: len(list(alive(nap))) == 2)

    token.cancel(Aborted("stop"))
    children.terminate(grace_s=0.5)
    for thread in threads:
        thread.join(10)

    assert len(ends) == 2
    assert (tmp_path / "asked").exists()
    eventually(lambda: not list(alive(nap)))


def test_no_child_is_started_for_a_cancelled_job(
    children: ChildProcesses, token: CancellationToken, tmp_path: Path
) -> None:
    """A job that must stop starts nothing."""
    token.cancel(Aborted("stop"))

    with pytest.raises(JobCancelled):
        children.run(["touch", str(tmp_path / "made")])
    assert not (tmp_path / "made").exists()
