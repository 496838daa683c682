"""What goes wrong behind an artifact's writer reaches whoever writes, at once and as it was."""

from __future__ import annotations

import errno
import itertools
import os
import threading
from collections.abc import Iterator
from contextlib import suppress

import attrs
import pytest

from baqup_agent.errors import IOFailure, JobCancelled, SourceUnavailable
from baqup_agent.staging import pipeline
from baqup_agent.staging.codec import CODECS
from baqup_agent.staging.pipeline import BUFFER_BYTES, BUFFERS, PIECES, Stage
from tests.waiting import eventually

from .conftest import names, put

#: The most that is taken before an error is noticed, if every buffer is under way.
UNDER_WAY = (BUFFERS + PIECES + 1) * BUFFER_BYTES


def in_staging(staging) -> list[str]:
    return names(staging.directory / ".staging")


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "artifact"]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """Whatever a test does, no writer's thread is there at its end."""
    yield
    eventually(lambda: threads() == [])


def endless(out, way: str) -> None:
    """Write without end."""
    noise = os.urandom(BUFFER_BYTES)
    if way == "copy_from_fd":
        fd = os.open("/dev/urandom", os.O_RDONLY)
        try:
            out.copy_from_fd(fd)
        finally:
            os.close(fd)
    size = 999 if way == "rows" else BUFFER_BYTES
    for start in itertools.count(step=7919):
        out.write(noise[start % BUFFER_BYTES :][:size] or b"-")


@pytest.mark.parametrize("compress", [False, "zstd", "gzip"])
@pytest.mark.parametrize("way", ["rows", "blocks", "copy_from_fd"])
def test_a_full_disk_is_heard_of_at_once(way, compress, small_disk, make_staging):
    """Not at the end of a terabyte; with the number and the path, and the space is free again."""
    staging = make_staging(at=small_disk / "staging")
    out = staging.artifact("data", compress=compress)

    with pytest.raises(IOFailure, match=r"\.staging/data.*No space left") as caught, out:
        endless(out, way)

    assert caught.value.exit_code == 74
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.ENOSPC
    assert out.bytes_in <= (1 << 20) + UNDER_WAY
    assert in_staging(staging) == []
    put(staging, "data", os.urandom(1 << 19), compress=False)


def test_a_device_that_is_full_from_the_start_is_the_same(staging):
    """The first byte is refused already."""
    out = staging.artifact("data", compress=False)
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, out._files._current._fd)
    os.close(full)

    with pytest.raises(IOFailure, match="No space left"), out:
        endless(out, "blocks")

    assert out.bytes_out == 0
    assert in_staging(staging) == []


def test_a_disk_that_fills_up_is_heard_of_while_a_pipe_is_silent(small_disk, make_staging):
    """Nobody waits for a source whose bytes have no place any more."""
    staging = make_staging(at=small_disk / "staging")
    reader, writer = os.pipe()

    def feed() -> None:
        rest = memoryview(bytes(3 * BUFFER_BYTES))
        with suppress(BrokenPipeError):
            while rest:
                rest = rest[os.write(writer, rest) :]

    feeder = threading.Thread(target=feed)
    feeder.start()
    with (
        pytest.raises(IOFailure, match="No space left"),
        staging.artifact("data", compress=False) as out,
    ):
        out.copy_from_fd(reader)  # its writer stays open, so there is no end
    os.close(reader)
    feeder.join()
    os.close(writer)


@pytest.mark.parametrize("error", [MemoryError("none left"), OSError(5, "broken")], ids=["a", "b"])
@pytest.mark.parametrize("step", ["compress", "flush"])
def test_an_error_of_the_compressor_arrives_as_it_was(step, error, make_staging, monkeypatch):
    """In its thread, in the middle or at the end; the artifact is given up."""

    class Broken:
        def compress(self, data: object) -> bytes:
            return self.fail("compress")

        def flush(self) -> bytes:
            return self.fail("flush")

        def fail(self, now: str) -> bytes:
            if now == step:
                raise error
            return b""

    codec = attrs.evolve(CODECS["gzip"], encoder=lambda _level, *, workers: Broken())
    monkeypatch.setitem(CODECS, "gzip", codec)
    staging = make_staging(compression="gzip")
    with pytest.raises(type(error)) as caught, staging.artifact("data") as out:
        out.write(bytes(2 * BUFFER_BYTES))

    assert caught.value is error
    assert in_staging(staging) == []


def test_an_error_in_the_thread_cannot_be_swallowed(small_disk, make_staging):
    """An author who catches everything does not get a hole sealed into the artifact."""
    staging = make_staging(at=small_disk / "staging")
    out = staging.artifact("data", compress=False)

    def swallow() -> None:
        for _ in range(20):
            with suppress(IOFailure):
                out.write(os.urandom(BUFFER_BYTES))

    with pytest.raises(IOFailure, match="No space left"), out:
        swallow()

    assert staging.artifacts == ()


def test_no_thread_to_be_had_is_said_so(staging, monkeypatch):
    """A limit on processes is the likely reason; the artifact is given up."""

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with (
        pytest.raises(SourceUnavailable, match=r"no thread.*limit on processes"),
        staging.artifact("data") as out,
    ):
        out.write(bytes(2 * BUFFER_BYTES))

    assert in_staging(staging) == []


def test_content_of_one_buffer_starts_no_thread(staging, monkeypatch):
    """Thousands of small artifacts cost no threads."""
    monkeypatch.delattr(threading.Thread, "start")

    put(staging, "small", os.urandom(BUFFER_BYTES))
    put(staging, "empty", b"")

    assert [artifact.filename for artifact in staging.artifacts] == ["small.zst", "empty.zst"]


@pytest.fixture
def stuck_disk(monkeypatch) -> Iterator[threading.Event]:
    """A disk that takes no byte before the event is set."""
    free, real = threading.Event(), os.write
    monkeypatch.setattr(os, "write", lambda fd, data: free.wait(60) and real(fd, data))
    monkeypatch.setattr(pipeline, "_PATIENCE_S", 0.05)
    yield free
    free.set()


def test_a_disk_that_hangs_does_not_hold_up_a_cancelled_job(
    stuck_disk, make_staging, log, monkeypatch
):
    """The thread is left to itself, and closes the file when the disk lets go of it."""
    cancelled = threading.Event()

    def check() -> None:
        if cancelled.is_set():
            raise JobCancelled

    staging = make_staging(check=check)
    out = staging.artifact("data", compress=False)
    fd = out._files._current._fd
    canceller = threading.Thread(
        target=lambda: (eventually(lambda: out.bytes_in == 4 * BUFFER_BYTES), cancelled.set())
    )
    canceller.start()
    with pytest.raises(JobCancelled), out:
        endless(out, "blocks")
    canceller.join()

    assert in_staging(staging) == []
    assert ("warn", "the disk holds up the writer of an artifact") in log.records
    assert len(threads()) == 1
    os.fstat(fd)  # still open: its number must not become another file's while it is written to
    stuck_disk.set()
    eventually(lambda: threads() == [])
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


@pytest.mark.parametrize("end", ["close", "remove"])
def test_a_staging_area_that_is_left_ends_its_writers(end, make_staging):
    """From another thread than the one that writes, which is told so."""
    staging = make_staging()
    out = staging.artifact("data", compress=False)
    told: list[BaseException] = []

    def write() -> None:
        try:
            endless(out, "blocks")
        except BaseException as error:  # noqa: BLE001  whatever it is, it is told
            told.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    eventually(lambda: out.bytes_in > 10 * BUFFER_BYTES)
    getattr(staging, end)()
    writer.join()

    assert "closed" in str(told[0]) or "given up" in str(told[0])
    assert (staging.directory / ".staging").exists() == (end == "close")


def test_a_failure_at_the_end_leaves_nothing(staging, monkeypatch):
    """The sync of a long artifact that fails removes it, its thread gone before."""

    def refuse(_fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.raises(IOFailure, match="cannot sync"), staging.artifact("data") as out:  # noqa: PT012
        out.write(os.urandom(5 * BUFFER_BYTES))
        monkeypatch.setattr(os, "fsync", refuse)

    monkeypatch.undo()
    assert in_staging(staging) == []


def test_several_artifacts_are_written_at_a_time(staging):
    """By one thread in turns, or by several, each has a pipeline of its own."""
    contents = {f"part{number}": os.urandom(100_000) * 40 for number in range(3)}
    outs = {name: staging.artifact(name, compress=False) for name in contents}
    for start in range(0, 4_000_000, 100_000):
        for name, out in outs.items():
            out.write(contents[name][start : start + 100_000])
    with outs["part2"], outs["part0"], outs["part1"]:
        pass

    for name, content in contents.items():
        assert (staging.directory / ".staging" / name).read_bytes() == content


def test_a_thread_that_failed_says_so_to_everybody_who_asks():
    """Twice for a token, and once more at the end: nobody waits for one that is gone."""
    error = MemoryError("none left")

    def fail(_piece: object) -> None:
        raise error

    stage = Stage(object, 2, fail, lambda: None, lambda: None)
    stage.start()
    stage.put(stage.token(), b"x")
    stage.token()
    for ask in (stage.token, stage.token, stage.complete):
        with pytest.raises(MemoryError) as caught:
            ask()
        assert caught.value is error
