from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from backports import zstd

from baqup_agent.errors import ConfigError, DataError, IOFailure, VerificationFailed
from baqup_agent.staging.artifact import Artifact
from baqup_agent.staging.checksum import compute_checksum
from baqup_agent.staging.codec import CODECS
from baqup_agent.staging.manifest import Manifest
from baqup_agent.staging.reader import open_artifact

from .conftest import CREATED_AT, manifest_of, names, put


def publish_raw(directory: Path, job_id: str, content: bytes, compression: str) -> Path:
    """A directory as an agent in another language may have published it."""
    directory.mkdir()
    (directory / "data").write_bytes(content)
    artifact = Artifact(
        "data", len(content), "sha256", compute_checksum(directory / "data"), compression
    )
    manifest = Manifest(job_id, "agent-other", "snapshot", CREATED_AT, [artifact])
    (directory / "manifest.json").write_bytes(manifest.to_bytes())
    return directory


def hand_out(directory: Path, name: str) -> None:
    """Fail the test if a stream is handed out at all."""
    with open_artifact(directory, name):
        pytest.fail("the stream was handed out")


def read(directory: Path, name: str) -> bytes:
    with open_artifact(directory, name) as stream:
        return stream.read()


@pytest.mark.parametrize("codec", CODECS)
def test_an_artifact_reads_back(codec, make_staging):
    """Whole, in pieces, and to its end."""
    content = os.urandom(1 << 20) + bytes(3 << 20)
    staging = make_staging(compression=codec)
    name = put(staging, "data", content)
    directory = staging.publish(manifest_of(staging))

    with open_artifact(directory, name) as stream:
        assert stream.read() == content
        assert stream.read() == b""
    with open_artifact(str(directory), name) as stream:
        pieces = [stream.read(1000), stream.read(1 << 20), stream.read()]
        assert [len(piece) for piece in pieces] == [1000, 1 << 20, len(content) - 1000 - (1 << 20)]
        assert b"".join(pieces) == content


def test_the_stream_ends_with_the_block(published):
    """No descriptor outlives it, also when the block raises."""
    before = len(names("/proc/self/fd"))
    with open_artifact(published, "data.sql.zst") as stream:
        stream.read(1)
    with pytest.raises(ZeroDivisionError), open_artifact(published, "data.sql.zst"):
        1 / 0  # noqa: B018

    assert len(names("/proc/self/fd")) == before
    with pytest.raises(ValueError, match="closed"):
        stream.read(1)


@pytest.mark.parametrize("position", [0, -1])
def test_a_corrupt_artifact_gives_not_one_byte(position, published):
    """The whole file is checked first: damage at its end is found before its beginning is read."""
    content = bytearray((published / "notes.txt").read_bytes())
    content[position] ^= 1
    (published / "notes.txt").write_bytes(content)

    with pytest.raises(VerificationFailed, match="sha256") as caught:
        hand_out(published, "notes.txt")

    assert str(published / "notes.txt") in caught.value.message


def test_a_missing_artifact_is_told(published):
    """Incomplete, with the path."""
    (published / "notes.txt").unlink()

    with pytest.raises(VerificationFailed, match="missing"):
        hand_out(published, "notes.txt")


def test_a_link_in_an_artifacts_place_is_not_followed(published, tmp_path):
    """Even if the bytes behind it would match."""
    (published / "notes.txt").rename(tmp_path / "elsewhere")
    (published / "notes.txt").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(VerificationFailed, match=r"notes\.txt.*regular file"):
        hand_out(published, "notes.txt")


@pytest.mark.parametrize("name", ["absent", "manifest.json", "../x", ""])
def test_only_what_the_manifest_lists_is_opened(name, published):
    """The message tells what it lists."""
    with pytest.raises(VerificationFailed, match=r"'data\.sql\.zst', 'notes\.txt'"):
        hand_out(published, name)


def test_without_a_manifest_nothing_is_opened(published):
    """Incomplete."""
    (published / "manifest.json").unlink()

    with pytest.raises(VerificationFailed, match="incomplete"):
        hand_out(published, "notes.txt")


@pytest.mark.parametrize(
    ("compression", "content"),
    [
        ("zstd", b"no frame at all"),
        ("gzip", b"no frame at all"),
        ("lz4", b"no frame at all"),
        ("zstd", zstd.compress(os.urandom(1000))[:-9]),
        ("zstd", zstd.compress(b"x") + b"garbage"),
    ],
    ids=["zstd", "gzip", "lz4", "cut", "trailing"],
)
def test_content_that_is_not_what_the_manifest_says_is_told(compression, content, tmp_path, job_id):
    """The checksum holds, so the agent that wrote it is at fault."""
    directory = publish_raw(tmp_path / "job", job_id, content, compression)

    with pytest.raises(VerificationFailed, match=f"decompressed as {compression}") as caught:
        read(directory, "data")

    assert "\n" not in caught.value.message


def test_several_frames_are_one_content(tmp_path, job_id):
    """Parallel compressors of other agents write them."""
    content = zstd.compress(b"one ") + zstd.compress(b"") + zstd.compress(b"two")
    directory = publish_raw(tmp_path / "job", job_id, content, "zstd")

    with open_artifact(directory, "data") as stream:
        assert stream.read() == b"one two"


def test_what_the_command_compressed_is_read(tmp_path, job_id):
    """Agents in other languages use the ordinary tools."""
    content = os.urandom(1 << 16) * 40
    done = subprocess.run(
        ["zstd", "-q", "-c", "-T2"], input=content, capture_output=True, check=True
    )
    directory = publish_raw(tmp_path / "job", job_id, done.stdout, "zstd")

    with open_artifact(directory, "data") as stream:
        assert stream.read() == content


def test_an_artifact_that_is_encrypted_in_an_unknown_way_is_not_handed_out(published):
    """The message says what to do first."""
    manifest = json.loads((published / "manifest.json").read_bytes())
    manifest["artifacts"][1]["encrypted"] = True
    (published / "manifest.json").write_text(json.dumps(manifest))

    with pytest.raises(DataError, match="decrypt"):
        hand_out(published, "notes.txt")


def test_a_missing_package_names_the_command_that_installs_it(make_staging, monkeypatch):
    """lz4 is an extra of this package."""
    staging = make_staging(compression="lz4")
    name = put(staging, "data", b"x")
    directory = staging.publish(manifest_of(staging))
    monkeypatch.setitem(sys.modules, "lz4.frame", None)

    with pytest.raises(ConfigError, match=r"baqup-agent\[lz4\]"):
        hand_out(directory, name)


def test_a_disk_that_fails_while_reading_is_an_io_error(published, monkeypatch):
    """It is told apart from content that is wrong."""

    class Broken(io.BytesIO):
        def read(self, *_: object) -> bytes:
            raise OSError(5, os.strerror(5))

    codec = CODECS["none"]
    monkeypatch.setitem(
        CODECS, "none", type(codec)(**_members(codec) | {"opener": lambda _: Broken()})
    )

    with pytest.raises(IOFailure, match="cannot read"):
        read(published, "notes.txt")


def _members(codec) -> dict[str, object]:
    return {name: getattr(codec, name) for name in codec.__slots__ if not name.startswith("__")}
