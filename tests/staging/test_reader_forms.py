"""Reading artifacts in every form they can be stored in, intact and broken."""

from __future__ import annotations

import errno
import io
import os
import shutil
import sys
import tracemalloc
from pathlib import Path

import pytest
from attrs import evolve

from baqup_agent.errors import BaqupError, ConfigError, DataError, IOFailure, VerificationFailed
from baqup_agent.security.secret import Secret
from baqup_agent.staging.codec import CODECS
from baqup_agent.staging.reader import open_artifact
from baqup_agent.staging.verification import verify

from .conftest import names
from .forms import (
    AES,
    AGE,
    FORMS,
    Form,
    files_of,
    flip,
    incompressible,
    name_of,
    publish,
    rewrite,
    stored_size,
)
from .oracles import aes_secret

MODES = ["first", "streamed"]

CONTENT = incompressible(300_000) + bytes(100_000)


@pytest.fixture(scope="module")
def originals(tmp_path_factory) -> dict[Form, Path]:
    """One published directory of each form."""
    root = tmp_path_factory.mktemp("originals")
    return {form: publish(root, form, CONTENT) for form in FORMS}


def read(directory: Path, form: Form, mode: str, key: Secret | None = None) -> bytes:
    with open_artifact(directory, name_of(directory), key=key or form.key, verify=mode) as stream:
        return stream.read()


def taken(directory: Path, form: Form, mode: str) -> bytes:
    """Read to the first error, and return what was handed out before it."""
    got = io.BytesIO()
    with pytest.raises((VerificationFailed, DataError)) as caught:
        copy(directory, form, mode, got)
    assert "\n" not in caught.value.message
    return got.getvalue()


def copy(directory: Path, form: Form, mode: str, target: io.BytesIO) -> None:
    with open_artifact(directory, name_of(directory), key=form.key, verify=mode) as stream:
        while piece := stream.read(10_000):
            target.write(piece)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_an_artifact_of_any_form_reads_back(form, mode, originals):
    """Split ones have several files, encrypted ones tell how."""
    directory = originals[form]

    assert read(directory, form, mode) == CONTENT
    assert (len(files_of(directory)) > 3) == form.split
    assert name_of(directory).endswith({None: "", AES: ".tink", AGE: ".age"}[form.encryption])


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_flipped_bit_at_every_tenth_is_found(form, originals, tmp_path):
    """Verified first, not one byte is handed out; streamed, the end is never reached."""
    size = stored_size(originals[form])
    for tenth in range(11):
        directory = tmp_path / str(tenth)
        shutil.copytree(originals[form], directory)
        flip(directory, min(size * tenth // 10, size - 1))

        assert not verify(directory).ok
        assert taken(directory, form, "first") == b""
        taken(directory, form, "streamed")


@pytest.mark.parametrize("encryption", [AES, AGE])
def test_what_an_encrypted_stream_gave_before_a_fault_is_right(encryption, tmp_path):
    """Each segment is handed out once it was found authentic."""
    form = Form("none", encryption)
    content = incompressible(3 << 20)
    directory = publish(tmp_path, form, content)
    flip(directory, 2_500_000)

    got = taken(directory, form, "streamed")

    assert len(got) > 1_000_000
    assert content.startswith(got)


def test_a_file_that_fits_one_read_is_judged_before_any_of_it_is_given(tmp_path):
    """Streaming does not mean handing out what is known to be wrong."""
    form = Form("none")
    directory = publish(tmp_path, form, b"content")
    flip(directory, 0)

    assert taken(directory, form, "streamed") == b""


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("form", [Form("zstd"), Form("zstd", AES, split=True)], ids=str)
def test_a_cut_file_is_found_before_a_byte_is_handed_out(form, mode, originals, tmp_path):
    """By its size."""
    directory = Path(shutil.copytree(originals[form], tmp_path / "copy"))
    last = files_of(directory)[-1]
    os.truncate(last, last.stat().st_size - 1)

    assert taken(directory, form, mode) == b""


@pytest.mark.parametrize("mode", MODES)
def test_a_missing_part_is_found_before_a_byte_is_handed_out(mode, originals, tmp_path):
    """It is named."""
    form = Form("none", split=True)
    directory = Path(shutil.copytree(originals[form], tmp_path / "copy"))
    files_of(directory)[2].unlink()

    with (
        pytest.raises(VerificationFailed, match=r"data\.part00003' is missing"),
        open_artifact(directory, "data", verify=mode),
    ):
        pytest.fail("the stream was handed out")


@pytest.mark.parametrize("mode", MODES)
def test_parts_that_changed_places_are_found(mode, originals, tmp_path):
    """Each of them is whole, and none is the one that it is called."""
    form = Form("none", split=True)
    directory = Path(shutil.copytree(originals[form], tmp_path / "copy"))
    one, two, *_ = files_of(directory)
    one.rename(directory / "x")
    two.rename(one)
    (directory / "x").rename(two)

    assert taken(directory, form, mode) == b""


def test_the_order_of_the_manifest_does_not_matter(originals, tmp_path):
    """Parts are joined by their numbers."""
    form = Form("zstd", AES, split=True)
    directory = Path(shutil.copytree(originals[form], tmp_path / "copy"))
    rewrite(directory, lambda artifacts: artifacts.reverse())

    assert read(directory, form, "first") == CONTENT


def test_a_part_is_not_opened_by_itself(originals):
    """The message names the artifact that it belongs to."""
    directory = originals[Form("none", split=True)]

    with (
        pytest.raises(VerificationFailed, match="one part of 'data'"),
        open_artifact(directory, "data.part00002"),
    ):
        pytest.fail("the stream was handed out")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("encryption", [AES, AGE])
def test_a_wrong_key_shows_before_the_stream_is_handed_out(encryption, mode, originals):
    """It is the configuration's fault, not the backup's."""
    directory = originals[Form("zstd", encryption)]
    key = aes_secret(bytes(32)) if encryption == AES else Secret("not the identity of it")

    with (
        pytest.raises(ConfigError, match="BAQUP_SECRET_ARTIFACT_KEY") as caught,
        open_artifact(directory, name_of(directory), key=key, verify=mode),
    ):
        pytest.fail("the stream was handed out")

    assert str(directory) in caught.value.message
    assert key.reveal() not in caught.value.message


@pytest.mark.parametrize("encryption", [AES, AGE])
def test_damage_is_not_taken_for_a_wrong_key(encryption, tmp_path):
    """A first segment that does not open may be either; the checksum of all decides."""
    form = Form("none", encryption)
    directory = publish(tmp_path, form, incompressible(3 << 20))
    flip(directory, 150)

    with (
        pytest.raises(VerificationFailed, match="sha256"),
        open_artifact(directory, name_of(directory), key=form.key, verify="streamed"),
    ):
        pytest.fail("the stream was handed out")


def test_a_missing_key_is_told_with_its_name(originals):
    """The manifest's key id helps to find it."""
    directory = originals[Form("zstd", AES)]

    with (
        pytest.raises(ConfigError, match=r"key id 'monday'.*BAQUP_SECRET_ARTIFACT_KEY"),
        open_artifact(directory, name_of(directory)),
    ):
        pytest.fail("the stream was handed out")


def test_a_backup_that_is_passed_off_as_another_jobs_does_not_open(originals, tmp_path):
    """The key is right and the checksum holds, but it was sealed for the job that wrote it."""
    form = Form("zstd", AES)
    directory = Path(shutil.copytree(originals[form], tmp_path / "copy"))
    manifest = directory / "manifest.json"
    own = originals[form].name
    manifest.write_text(manifest.read_text().replace(own, own[::-1]))
    manifest.write_text(manifest.read_text().replace(own[::-1], f"{'0' * 8}{own[8:]}"))

    assert verify(directory).ok
    with (
        pytest.raises(ConfigError, match="another job"),
        open_artifact(directory, name_of(directory), key=form.key),
    ):
        pytest.fail("the stream was handed out")


def test_a_file_that_changes_after_its_verification_is_refused(originals, tmp_path):
    """The bytes that are read are those that were verified."""
    form = Form("none", split=True)
    directory = Path(shutil.copytree(originals[form], tmp_path / "copy"))
    last = files_of(directory)[-1]
    with open_artifact(directory, "data") as stream:
        content = bytearray(last.read_bytes())
        content[0] ^= 1
        last.unlink()
        last.write_bytes(content)
        with pytest.raises(VerificationFailed, match="changed since it was verified"):
            stream.read()


def test_a_reader_may_stop_the_verification(originals):
    """What its callback raises ends it, also with several files hashed at once."""

    class Stop(Exception):
        pass

    def stop(_: int) -> None:
        raise Stop

    for form in (Form("none"), Form("none", split=True)):
        with pytest.raises(Stop), open_artifact(originals[form], "data", on_chunk=stop):
            pytest.fail("the stream was handed out")


def test_nothing_stays_open(originals):
    """Whether the stream was read to its end, to its middle, or not at all."""
    before = len(names("/proc/self/fd"))
    for form in FORMS:
        for size in (0, 1000, -1):
            name = name_of(originals[form])
            with open_artifact(originals[form], name, key=form.key, verify="streamed") as stream:
                stream.read(size)

    assert len(names("/proc/self/fd")) == before


def test_damage_behind_what_was_read_is_found(tmp_path):
    """Streamed, the last bytes count as much as the first."""
    directory = publish(tmp_path, Form("none"), b"x" * 3_000_000)
    with open_artifact(directory, "data", verify="streamed") as stream:
        assert len(stream.read(1_500_000)) == 1_500_000
        flip(directory, 2_999_999)
        with pytest.raises(VerificationFailed, match="sha256"):
            stream.read()


def test_bytes_that_a_codec_leaves_unread_count_for_the_checksum(tmp_path, monkeypatch):
    """A codec may see its end before the file's; the hash does not."""
    directory = publish(tmp_path, Form("none"), b"content")
    flip(directory, 3)
    early = evolve(CODECS["none"], opener=lambda _: io.BytesIO(b"cont"))
    monkeypatch.setitem(CODECS, "none", early)

    with open_artifact(directory, "data", verify="streamed") as stream:
        assert stream.read(4) == b"cont"
        with pytest.raises(VerificationFailed, match="sha256"):
            stream.read(1)


@pytest.mark.parametrize("mode", MODES)
def test_a_checksum_that_cannot_be_computed_here_is_a_configuration_error(
    mode, originals, tmp_path, monkeypatch
):
    """The package's name is told before any byte is handed out."""
    directory = Path(shutil.copytree(originals[Form("none")], tmp_path / "copy"))

    def change(artifacts) -> None:
        artifacts[0]["checksum"] = {"algorithm": "blake3", "value": "0" * 64}

    rewrite(directory, change)
    monkeypatch.setitem(sys.modules, "blake3", None)

    with (
        pytest.raises(ConfigError, match=r"baqup-agent\[blake3\]"),
        open_artifact(directory, "data", verify=mode),
    ):
        pytest.fail("the stream was handed out")


@pytest.mark.parametrize("mode", MODES)
def test_a_disk_that_fails_is_told_apart_from_damage(mode, originals, monkeypatch):
    """The bytes may well be right: it is an I/O error, with the file's path."""
    directory = originals[Form("zstd", AES, split=True)]
    honest, calls = os.readv, []

    def failing(fd: int, buffers: list) -> int:
        calls.append(fd)
        if len(calls) > 2:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return honest(fd, buffers)

    monkeypatch.setattr(os, "readv", failing)

    with pytest.raises(IOFailure, match=str(directory)):
        read(directory, Form("zstd", AES), mode)


@pytest.mark.parametrize("encryption", [None, AES, AGE])
def test_memory_does_not_grow_with_the_artifact(encryption, tmp_path):
    """Forty mebibytes pass in a few; the manifest is read before."""
    form = Form("none", encryption)
    directory = publish(tmp_path, form, bytes(40 << 20))
    read_bytes = 0
    tracemalloc.start()
    try:
        with open_artifact(
            directory, name_of(directory), key=form.key, verify="streamed"
        ) as stream:
            tracemalloc.reset_peak()
            while piece := stream.read(1 << 20):
                read_bytes += len(piece)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert read_bytes == 40 << 20
    assert peak < 12 << 20


def test_any_error_is_one_of_ours(originals, tmp_path):
    """Whatever was cut off, wherever."""
    form = Form("gzip", AGE)
    content = files_of(originals[form])[0].read_bytes()
    for cut in range(0, len(content), len(content) // 40):
        directory = Path(shutil.copytree(originals[form], tmp_path / str(cut)))
        files_of(directory)[0].write_bytes(content[:cut])

        with pytest.raises(BaqupError):
            read(directory, form, "streamed")
