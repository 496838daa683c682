from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys

import pytest

from baqup_agent.config.settings import ArtifactSettings
from baqup_agent.errors import ConfigError
from baqup_agent.staging.codec import CODECS, check_level, choose, codec_named

CONTENT = b"the same line again and again\n" * 30_000
COMPRESSING = [codec for codec in CODECS.values() if codec.name != "none"]


def compressed(name: str, level: int, *, workers: int = 0, content: bytes = CONTENT) -> bytes:
    encoder = codec_named(name).encoder(level, workers=workers)
    return bytes(encoder.compress(content)) + bytes(encoder.flush())


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("codec", COMPRESSING, ids=lambda codec: codec.name)
def test_every_level_gives_one_frame_that_reads_back(codec, workers):
    """From the first level that the table allows to the last."""
    for level in (codec.levels[0], 0, codec.default_level, codec.levels[-1]):
        data = compressed(codec.name, level, workers=workers)
        assert codec.opener(io.BytesIO(data)).read() == CONTENT


@pytest.mark.parametrize("codec", COMPRESSING, ids=lambda codec: codec.name)
@pytest.mark.parametrize("content", [b"", b"x", CONTENT], ids=["empty", "one", "many"])
def test_the_ordinary_command_reads_it(codec, content, tmp_path):
    """A restore must not need our code."""
    command = {"zstd": "zstd", "gzip": "gzip", "lz4": "lz4"}[codec.name]
    if shutil.which(command) is None:
        pytest.skip(f"the command {command} is not installed")
    file = tmp_path / f"data{codec.suffix}"
    file.write_bytes(compressed(codec.name, codec.default_level, workers=2, content=content))

    subprocess.run([command, "-t", file], check=True, capture_output=True)
    done = subprocess.run([command, "-dc", file], check=True, capture_output=True)

    assert done.stdout == content


@pytest.mark.parametrize("codec", COMPRESSING, ids=lambda codec: codec.name)
def test_the_same_content_gives_the_same_bytes(codec):
    """No time stamp or name of the moment gets in."""
    data = compressed(codec.name, codec.default_level, workers=2)

    assert data == compressed(codec.name, codec.default_level, workers=2)
    assert len(data) < len(CONTENT) / 10
    if codec.name == "gzip":
        assert data[4:8] == b"\0\0\0\0"


@pytest.mark.parametrize("codec", COMPRESSING, ids=lambda codec: codec.name)
def test_a_frame_knows_when_it_was_damaged(codec):
    """A bit that flips after the manifest was lost is still found, by the ordinary command too."""
    content = os.urandom(10_000)
    data = bytearray(compressed(codec.name, codec.default_level, workers=2, content=content))
    data[5_000] ^= 1

    with pytest.raises(Exception, match=r"(?i)checksum|crc|invalid") as caught:
        codec.opener(io.BytesIO(data)).read()

    assert not isinstance(caught.value, AssertionError)


def test_without_compression_bytes_are_stored_as_they_are():
    """The codec none has no suffix and adds nothing."""
    codec = codec_named("none")

    assert compressed("none", 0, workers=2) == CONTENT
    assert codec.suffix == ""


@pytest.mark.parametrize("name", CODECS)
def test_a_codec_that_is_installed_is_the_one_that_is_used(name):
    """No fallback without need."""
    codec, fallback = choose(name)

    assert codec.name == name
    assert not fallback


def test_a_codec_that_is_not_installed_falls_back(monkeypatch):
    """First to zstd, then to gzip, which Python always has."""
    monkeypatch.setitem(sys.modules, "lz4.frame", None)
    codec, fallback = choose("lz4")
    assert (codec.name, fallback) == ("zstd", True)

    monkeypatch.setitem(sys.modules, CODECS["zstd"].module, None)
    codec, fallback = choose("lz4")
    assert (codec.name, fallback) == ("gzip", True)


@pytest.mark.parametrize(
    ("algorithm", "level"),
    [("zstd", 23), ("zstd", -8), ("gzip", 10), ("gzip", -1), ("lz4", 13), ("lz4", -8)],
)
def test_a_level_of_another_scale_is_a_configuration_error(algorithm, level):
    """The variable, its value and the scale are named."""
    settings = ArtifactSettings(compression=algorithm, compression_level=level)

    with pytest.raises(ConfigError) as caught:
        check_level(settings)

    message = str(caught.value)
    assert f"BAQUP_ARTIFACT_COMPRESS_LEVEL is {level}" in message
    assert f"{algorithm} takes {CODECS[algorithm].levels[0]} to" in message


def test_the_level_does_not_matter_without_compression():
    """A level that is left over from another setting does no harm."""
    check_level(ArtifactSettings(compression="none", compression_level=22))


def test_an_unknown_algorithm_is_a_configuration_error():
    """The choice is named."""
    with pytest.raises(ConfigError, match=r"BAQUP_ARTIFACT_COMPRESS_ALGORITHM is 'rar'.*zstd"):
        check_level(ArtifactSettings(compression="rar"))


def test_a_level_counts_for_the_algorithm_it_was_set_for():
    """An artifact that chooses another algorithm gets that one's own level."""
    settings = ArtifactSettings(compression="zstd", compression_level=19)

    assert CODECS["zstd"].level(settings) == 19
    assert CODECS["gzip"].level(settings) == 6
