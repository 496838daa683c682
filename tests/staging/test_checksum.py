from __future__ import annotations

import hashlib
import random
import sys

import blake3
import pytest

from baqup_agent.errors import ConfigError, IOFailure
from baqup_agent.staging.checksum import CHUNK_BYTES, compute_checksum, feed, new_hash

CONTENT = random.Random(4).randbytes(2 * CHUNK_BYTES + 17)


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        ("sha256", hashlib.sha256(CONTENT).hexdigest()),
        ("sha512", hashlib.sha512(CONTENT).hexdigest()),
        ("blake3", blake3.blake3(CONTENT).hexdigest()),
    ],
)
def test_a_checksum_is_that_of_the_files_bytes(algorithm, expected, tmp_path):
    """Every algorithm of the contract, over a file of several chunks."""
    file = tmp_path / "data"
    file.write_bytes(CONTENT)

    assert compute_checksum(file, algorithm) == expected
    assert compute_checksum(str(file), algorithm) == expected


def test_sha256_is_the_default(tmp_path):
    """The preview's call with a path alone."""
    file = tmp_path / "empty"
    file.touch()

    assert compute_checksum(file) == hashlib.sha256(b"").hexdigest()


def test_chunks_are_told_as_they_are_hashed(tmp_path):
    """A progress bar can follow a long check."""
    file = tmp_path / "data"
    file.write_bytes(CONTENT)
    chunks = []

    with file.open("rb") as stream:
        assert feed(new_hash("sha256"), stream.fileno(), chunks.append) == len(CONTENT)

    assert sum(chunks) == len(CONTENT)
    assert len(chunks) >= 3


def test_an_unknown_algorithm_names_the_variable_and_the_choice():
    """The remedy is in the message."""
    with pytest.raises(ConfigError, match=r"BAQUP_ARTIFACT_CHECKSUM_ALGORITHM is 'md5'.*sha256"):
        new_hash("md5")


def test_a_missing_package_names_the_command_that_installs_it(monkeypatch):
    """blake3 is an extra of this package."""
    monkeypatch.setitem(sys.modules, "blake3", None)

    with pytest.raises(ConfigError, match=r'pip install "baqup-agent\[blake3\]"'):
        new_hash("blake3")


def test_an_unreadable_file_is_an_io_error(tmp_path):
    """The path and the reason are named."""
    with pytest.raises(IOFailure, match="No such file") as caught:
        compute_checksum(tmp_path / "absent")

    assert str(tmp_path / "absent") in caught.value.message
    with pytest.raises(IOFailure, match="directory"):
        compute_checksum(tmp_path)
