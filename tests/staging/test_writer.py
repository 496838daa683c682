from __future__ import annotations

import array
import hashlib
import io
import os
import subprocess
import threading
import zipfile
from itertools import count
from pathlib import Path

import pytest

from baqup_agent.errors import InternalError, IOFailure, JobCancelled, OutputError
from baqup_agent.staging.artifact import Artifact
from baqup_agent.staging.codec import CODECS
from baqup_agent.staging.pipeline import BUFFER_BYTES, BUFFERS
from tests.waiting import eventually

from .conftest import manifest_of, names, put


def in_staging(staging) -> set[str]:
    return set(names(staging.directory / ".staging"))


def test_a_sealed_artifact_states_what_is_on_disk(staging):
    """Size and checksum are those of the stored bytes."""
    with staging.artifact("data.sql") as out:
        assert out.write(b"row\n" * 1000) == 4000
        assert (out.bytes_in, out.tell(), out.name) == (4000, 4000, "data.sql.zst")

    stored = (staging.directory / ".staging" / "data.sql.zst").read_bytes()
    assert out.artifact == Artifact(
        "data.sql.zst", len(stored), "sha256", hashlib.sha256(stored).hexdigest(), "zstd"
    )
    assert out.bytes_out == len(stored)
    assert staging.artifacts == (out.artifact,)
    assert out.closed


@pytest.mark.parametrize("codec", CODECS)
def test_an_artifact_without_content_is_an_artifact(codec, make_staging):
    """An empty dump is a dump; its frame is a complete one."""
    staging = make_staging(compression=codec, compression_level=1)
    name = put(staging, "empty", b"")

    with (staging.directory / ".staging" / name).open("rb") as file:
        assert CODECS[codec].opener(file).read() == b""


@pytest.mark.parametrize(
    "data",
    [
        b"bytes",
        bytearray(b"bytearray"),
        memoryview(b"view"),
        memoryview(b"strided view")[::2],
        memoryview(b"backwards")[::-1],
        array.array("i", [1, 2, 3]),
        array.array("d"),
        b"",
        memoryview(b"0123456789abcdef" * (BUFFER_BYTES // 8))[::2],
        array.array("q", range(BUFFER_BYTES)),
    ],
    ids=lambda data: f"{type(data).__name__}-{len(data)}",
)
def test_anything_that_holds_bytes_can_be_written(data, staging):
    """The count returned is of bytes, whatever the items are."""
    expected = memoryview(data).tobytes()
    with staging.artifact("data", compress=False) as out:
        assert out.write(b"<") == 1
        assert out.write(data) == len(expected)
        assert out.write(b">") == 1

    assert (staging.directory / ".staging" / "data").read_bytes() == b"<" + expected + b">"


@pytest.mark.parametrize("data", ["text", 7, None, [1, 2]])
def test_what_holds_no_bytes_is_refused_and_can_be_corrected(data, staging):
    """The message says what to do; nothing of it was stored."""
    with staging.artifact("data", compress=False) as out:
        with pytest.raises(InternalError, match=type(data).__name__) as caught:
            out.write(data)
        out.write(b"right")

    assert "encode" in caught.value.message
    assert (staging.directory / ".staging" / "data").read_bytes() == b"right"


def test_many_tiny_writes_become_few_large_ones(staging, monkeypatch):
    """A row at a time costs no system call each."""
    calls = count()
    real = os.write

    def counted(fd, data):
        next(calls)
        return real(fd, data)

    monkeypatch.setattr(os, "write", counted)
    with staging.artifact("rows", compress=False) as out:
        for _ in range(100_000):
            out.write(b"one row here\n")

    assert next(calls) <= 1_300_000 // BUFFER_BYTES + 1
    assert out.artifact.size_bytes == 1_300_000


def test_content_goes_to_disk_while_it_comes(staging):
    """An artifact of many buffers is stored while it is written, not at its end."""
    with staging.artifact("rows", compress=False) as out:
        out.write(bytes(9 * BUFFER_BYTES))
        eventually(lambda: out.bytes_out == 8 * BUFFER_BYTES, within_s=60)
        out.write(b"x")

    assert out.bytes_out == out.bytes_in == 9 * BUFFER_BYTES + 1


def test_a_slow_disk_holds_up_the_writer_and_not_the_memory(make_staging, monkeypatch):
    """While the disk takes nothing, no more than the buffers there are is taken from the agent."""
    disk, looks = threading.Event(), []
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: disk.wait(60) and real(fd, data))
    staging = make_staging(check=lambda: looks.append(1))
    out = staging.artifact("rows", compress=False)

    def write() -> None:
        with out:
            for _ in range(10):
                out.write(bytes(BUFFER_BYTES))

    writer = threading.Thread(target=write)
    writer.start()
    eventually(lambda: out.bytes_in == BUFFERS * BUFFER_BYTES, within_s=60)
    so_far = len(looks)
    eventually(lambda: len(looks) > so_far + 3, within_s=60)  # it waits, and looks up while it does
    held = out.bytes_in
    disk.set()
    writer.join()

    assert held == BUFFERS * BUFFER_BYTES
    assert out.artifact.size_bytes == 10 * BUFFER_BYTES


@pytest.mark.parametrize("most", [1, 7, 4096])
def test_a_filesystem_that_takes_a_part_is_asked_again(most, staging, monkeypatch):
    """A short write loses nothing."""
    content = os.urandom(20_000)
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:most]))
    put(staging, "data", content, compress=False)
    monkeypatch.undo()

    assert (staging.directory / ".staging" / "data").read_bytes() == content


def test_a_filesystem_that_takes_nothing_is_an_error(staging, monkeypatch):
    """A write that returns zero does not spin for ever."""
    monkeypatch.setattr(os, "write", lambda _fd, _data: 0)

    with pytest.raises(IOFailure, match="takes no more"):
        put(staging, "data", b"content")


def test_an_exception_in_the_block_removes_the_part(staging):
    """The author's exception arrives as it was, and the name is free again."""
    with pytest.raises(ZeroDivisionError), staging.artifact("data") as out:  # noqa: PT012
        out.write(b"half")
        1 / 0  # noqa: B018

    assert in_staging(staging) == set()
    assert staging.artifacts == ()
    assert staging.open_writers == ()
    with pytest.raises(InternalError, match="not sealed"):
        _ = out.artifact
    put(staging, "data", b"second try")
    assert len(staging.artifacts) == 1


def test_cancellation_is_heard_on_every_write(make_staging):
    """The check is called for each write and its exception unwinds the block."""
    calls = count(1)

    def check() -> None:
        if next(calls) == 3:
            raise JobCancelled

    staging = make_staging(check=check)
    written = 0
    with pytest.raises(JobCancelled), staging.artifact("data") as out:  # noqa: PT012
        for _ in range(10):
            out.write(b"x")
            written += 1

    assert written == 2
    assert in_staging(staging) == set()


def test_cancellation_is_heard_within_a_large_write(make_staging):
    """One write of many megabytes is looked at buffer by buffer."""

    def check() -> None:
        if out.bytes_in >= 2 * BUFFER_BYTES:
            raise JobCancelled

    staging = make_staging(check=check)
    out = staging.artifact("data", compress=False)
    with pytest.raises(JobCancelled), out:
        out.write(bytes(10 * BUFFER_BYTES))

    assert out.bytes_in == 2 * BUFFER_BYTES
    assert in_staging(staging) == set()


@pytest.mark.parametrize("error", [JobCancelled, OSError(5, "broken")], ids=["cancel", "disk"])
def test_a_failed_write_cannot_be_swallowed(error, make_staging):
    """An author who catches everything does not get a hole sealed into the artifact."""
    fail = [False]

    def check() -> None:
        if fail[0]:
            fail[0] = False
            raise error

    staging = make_staging(check=check)
    with pytest.raises((JobCancelled, OSError)), staging.artifact("data") as out:  # noqa: PT012
        out.write(b"one ")
        fail[0] = True
        try:
            out.write(b"two ")
        except BaseException:  # noqa: BLE001
            out.write(b"three")

    assert staging.artifacts == ()
    assert in_staging(staging) == set()


def test_writing_after_the_end_is_the_agents_bug(staging):
    """A sealed artifact stays as it was sealed."""
    with staging.artifact("data") as out:
        out.write(b"x")

    with pytest.raises(InternalError, match="closed"):
        out.write(b"y")
    with pytest.raises(InternalError, match="closed"), out:
        pass
    assert out.bytes_in == 1


def test_a_full_disk_is_an_io_error_with_a_remedy(small_disk, make_staging):
    """On a real filesystem of one mebibyte; the part is gone, its space is free again."""
    staging = make_staging(at=small_disk / "staging")

    with pytest.raises(IOFailure) as caught, staging.artifact("data", compress=False) as out:
        out.write(os.urandom(4 << 20))

    error = caught.value
    assert error.exit_code == 74
    assert "No space left" in error.message
    assert "free space" in error.message
    assert str(staging.directory / ".staging" / "data") in error.message
    assert "\n" not in error.message
    assert in_staging(staging) == set()
    put(staging, "smaller", os.urandom(1 << 19), compress=False)


def test_a_disk_that_fills_up_at_the_end_is_noticed(small_disk, make_staging):
    """What was still in the compressor counts too."""
    staging = make_staging(at=small_disk / "staging")
    (small_disk / "filler").write_bytes(os.urandom(1 << 20)[: (1 << 20) - (64 << 10)])

    with pytest.raises(IOFailure, match="No space left"), staging.artifact("data") as out:
        out.write(os.urandom(BUFFER_BYTES - 1))

    assert out.bytes_in == BUFFER_BYTES - 1
    assert staging.artifacts == ()


def test_a_failing_sync_is_an_io_error(staging, monkeypatch):
    """Bytes that may not be on disk are not sealed."""

    def refuse(_fd: int) -> None:
        raise OSError(5, os.strerror(5))

    with pytest.raises(IOFailure, match="cannot sync"), staging.artifact("data") as out:  # noqa: PT012
        out.write(b"x")
        monkeypatch.setattr(os, "fsync", refuse)

    monkeypatch.undo()
    assert in_staging(staging) == set()


def test_a_stranger_who_writes_into_the_part_is_noticed(staging):
    """The checksum would be that of other bytes."""
    out = staging.artifact("data", compress=False)
    with (staging.directory / ".staging" / "data").open("ab") as stranger:
        stranger.write(bytes(100))

    with pytest.raises(IOFailure, match="4 were written"), out:
        out.write(b"mine")

    assert staging.artifacts == ()


def test_a_link_in_the_parts_place_is_not_written_through(staging, tmp_path):
    """A file that is there already is never opened."""
    target = tmp_path / "precious"
    target.write_text("keep")
    (staging.directory / ".staging" / "data.zst").symlink_to(target)

    with pytest.raises(InternalError, match="exists already"):
        staging.artifact("data")

    assert target.read_text() == "keep"


def test_a_part_that_cannot_be_created_is_an_output_error(staging):
    """Exit 73, in one line; the name is free again."""
    hidden = staging.directory / ".staging"
    hidden.rmdir()

    with pytest.raises(OutputError, match="cannot create") as caught:
        staging.artifact("data")

    assert caught.value.exit_code == 73
    assert staging.open_writers == ()


def test_a_part_that_cannot_be_removed_is_logged_and_hides_nothing(staging, log, monkeypatch):
    """The error of the block is the one that is reported."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, os.strerror(13))

    with pytest.raises(ZeroDivisionError), staging.artifact("data"):  # noqa: PT012
        monkeypatch.setattr(os, "unlink", refuse)
        1 / 0  # noqa: B018

    assert ("warn", "a part could not be removed") in log.records


def test_what_is_created_is_not_for_everybody(staging):
    """Backups hold other people's data; the group may belong to the controller."""
    previous = os.umask(0)
    try:
        put(staging, "data", b"x")
    finally:
        os.umask(previous)

    assert (staging.directory / ".staging" / "data.zst").stat().st_mode & 0o777 == 0o640


def test_a_zip_archive_can_be_written_straight_into_an_artifact(staging):
    """The writer has what such code expects of a file."""
    with staging.artifact("data.zip", compress=False) as out:
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr("member", b"content")
        out.flush()

    stored = (staging.directory / ".staging" / "data.zip").read_bytes()
    assert zipfile.ZipFile(io.BytesIO(stored)).read("member") == b"content"


def test_a_long_compressed_stream_is_read_by_the_command(staging, tmp_path):
    """Worker threads and several jobs of the compressor included."""
    block = os.urandom(1 << 16) * 4
    with staging.artifact("data") as out:
        for _ in range(64):
            out.write(block)
    directory = staging.publish(manifest_of(staging))

    copy = tmp_path / "copy"
    subprocess.run(["zstd", "-q", "-d", directory / "data.zst", "-o", copy], check=True)
    assert hashlib.sha256(copy.read_bytes()).digest() == hashlib.sha256(block * 64).digest()
    assert Path(directory / "data.zst").stat().st_size == out.bytes_out
