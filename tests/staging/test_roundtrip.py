from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baqup_agent.config.settings import ArtifactSettings
from baqup_agent.observability.sink import NullLog
from baqup_agent.staging.area import Staging
from baqup_agent.staging.codec import CODECS
from baqup_agent.staging.pipeline import BUFFER_BYTES
from baqup_agent.staging.reader import open_artifact
from baqup_agent.staging.verification import verify

from .conftest import manifest_of

CHUNKS = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.builds(
            lambda seed, size: (seed * (size // len(seed) + 1))[:size],
            st.binary(min_size=1, max_size=40),
            st.sampled_from([BUFFER_BYTES - 1, BUFFER_BYTES, BUFFER_BYTES + 1, 2 * BUFFER_BYTES]),
        ),
    ),
    max_size=5,
)
FORMS = st.sampled_from(sorted(CODECS)).flatmap(
    lambda name: st.tuples(
        st.just(name),
        # Levels above these take memory and time, and change nothing but the compression.
        st.sampled_from([level for level in CODECS[name].levels if level <= 9] or [0]),
        st.sampled_from(["sha256", "sha512"]),
    )
)


def check(chunks: list[bytes], form: tuple[str, int, str], command: str | None) -> None:
    content = b"".join(chunks)
    compression, level, algorithm = form
    with tempfile.TemporaryDirectory() as scratch:
        staging = Staging(
            Path(scratch),
            str(uuid4()),
            ArtifactSettings(compression, level, algorithm),
            log=NullLog(),
        )
        staging.prepare()
        with staging.artifact("data") as out:
            for chunk in chunks:
                assert out.write(chunk) == len(chunk)
        directory = staging.publish(manifest_of(staging))
        staging.close()

        stored = (directory / out.name).read_bytes()
        assert out.bytes_in == len(content)
        assert out.bytes_out == out.artifact.size_bytes == len(stored)
        assert out.artifact.checksum_value == hashlib.new(algorithm, stored).hexdigest()
        assert verify(directory).ok
        with open_artifact(directory, out.name) as stream:
            assert stream.read() == content
        if command:
            done = subprocess.run([command, "-dc"], input=stored, capture_output=True, check=True)
            assert done.stdout == content


@settings(max_examples=40, deadline=None)
@given(CHUNKS, FORMS)
def test_any_content_in_any_chunks_reads_back(chunks, form):
    """With every codec and level; size and checksum are those of the file on disk."""
    check(chunks, form, None)


@pytest.mark.parametrize("name", ["zstd", "gzip", "lz4"])
@settings(max_examples=8, deadline=None)
@given(chunks=CHUNKS)
def test_any_content_is_read_by_the_ordinary_command(name, chunks):
    """A restore must not need our code."""
    if shutil.which(name) is None:
        pytest.skip(f"the command {name} is not installed")
    check(chunks, (name, CODECS[name].default_level, "sha256"), name)
