"""A look inside artifacts whose stored bytes were found intact."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from baqup_agent.security.secret import Secret
from baqup_agent.staging.checksum import compute_checksum
from baqup_agent.staging.inside import look_inside
from baqup_agent.staging.verification import Content, Damage, Verification, verify

from .forms import (
    AES,
    AGE,
    FORMS,
    KEYS,
    Form,
    archive,
    files_of,
    incompressible,
    name_of,
    publish,
    rewrite,
    stored_size,
)
from .oracles import aes_secret


def look(directory: Path, key: Secret | None = None, **options: object) -> Verification:
    return look_inside(directory, verify(directory), key=key, **options)


def revouch(directory: Path) -> None:
    """Let the manifest vouch for the files as they are, as a mistaken agent would."""

    def change(artifacts) -> None:
        for artifact in artifacts:
            path = directory / artifact["filename"]
            artifact["size_bytes"] = path.stat().st_size
            artifact["checksum"]["value"] = compute_checksum(path)

    rewrite(directory, change)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_an_archive_of_any_form_is_walked(form, tmp_path):
    """Its members are counted, and its bytes."""
    content = archive()
    directory = publish(tmp_path, form, content, "data.tar")

    found = look(directory, form.key)

    assert found.problems == ()
    assert found.contents == (Content(name_of(directory), len(content), 5),)


def test_what_is_no_archive_is_read_to_its_end(tmp_path):
    """Its bytes are counted; nobody expects members."""
    directory = publish(tmp_path, Form("zstd"), b"row\n" * 1000, "data.sql")

    assert look(directory).contents == (Content("data.sql.zst", 4000, None),)


def test_the_stored_bytes_are_counted_for_the_bar(tmp_path):
    """All parts of them."""
    directory = publish(tmp_path, Form("none", split=True), incompressible(200_000))
    seen: list[int] = []

    look(directory, on_stored=seen.append)

    assert sum(seen) == stored_size(directory) == 200_000


@pytest.mark.parametrize("cut", [100, 40_000, 5 * 30_000])
def test_an_archive_that_was_cut_before_it_was_stored_is_found(cut, tmp_path):
    """The checksum holds; only the walk tells."""
    directory = publish(tmp_path, Form("zstd"), archive()[:cut], "data.tar")

    found = look(directory)

    assert verify(directory).ok
    assert found.damage is Damage.UNDECODABLE
    assert "data.tar.zst" in found.problems[0]


@pytest.mark.parametrize("compression", ["zstd", "gzip", "lz4"])
def test_content_that_cannot_be_decompressed_is_found(compression, tmp_path):
    """The agent wrote it so, and vouches for it."""
    directory = publish(tmp_path, Form(compression), incompressible(100_000))
    content = bytearray(files_of(directory)[0].read_bytes())
    content[len(content) // 2 : len(content) // 2 + 100] = bytes(100)
    files_of(directory)[0].write_bytes(content)
    revouch(directory)

    found = look(directory)

    assert verify(directory).ok
    assert found.damage is Damage.UNDECODABLE
    assert f"decompressed as {compression}" in found.problems[0]


@pytest.mark.parametrize("encryption", [AES, AGE])
def test_content_that_cannot_be_decrypted_is_found(encryption, tmp_path):
    """A later segment is damaged, and the manifest vouches for it."""
    form = Form("none", encryption)
    directory = publish(tmp_path, form, incompressible(3 << 20))
    content = bytearray(files_of(directory)[0].read_bytes())
    content[2 << 20] ^= 1
    files_of(directory)[0].write_bytes(content)
    revouch(directory)

    found = look(directory, form.key)

    assert found.damage is Damage.UNDECODABLE
    assert "segment" in found.problems[0]


@pytest.mark.parametrize("encryption", [AES, AGE])
def test_a_missing_or_wrong_key_is_not_taken_for_damage(encryption, tmp_path):
    """The backup may be good: it was not looked into."""
    directory = publish(tmp_path, Form("zstd", encryption), b"content")
    other = aes_secret(bytes(32)) if encryption == AES else Secret("some other passphrase")

    for key in (None, other, Secret("short")):
        found = look(directory, key)
        assert found.damage is Damage.UNCHECKED
        assert "BAQUP_SECRET_ARTIFACT_KEY" in found.problems[0]
        assert found.contents == ()


def test_a_missing_package_is_not_taken_for_damage(tmp_path, monkeypatch):
    """Its name is told."""
    directory = publish(tmp_path, Form("lz4"), b"content")
    monkeypatch.setitem(sys.modules, "lz4.frame", None)

    found = look(directory)

    assert found.damage is Damage.UNCHECKED
    assert "baqup-agent[lz4]" in found.problems[0]


def test_what_is_damaged_is_not_looked_into(tmp_path):
    """One reason for each artifact is enough."""
    form = Form("zstd", AES, split=True)
    directory = publish(tmp_path, form, incompressible(200_000))
    files_of(directory)[1].unlink()

    found = look(directory, Secret(KEYS[AES]))

    assert len(found.problems) == 1
    assert found.contents == ()


def test_without_a_manifest_there_is_nothing_to_look_into(tmp_path):
    """What was found before stays."""
    found = look(tmp_path)

    assert found.damage is Damage.INCOMPLETE
    assert len(found.problems) == 1


def test_a_file_that_changes_between_the_two_looks_is_found(tmp_path):
    """The bytes that are looked into are those that were hashed."""
    directory = publish(tmp_path, Form("none"), b"content")
    found = verify(directory)
    shutil.copy(files_of(directory)[0], tmp_path / "copy")
    files_of(directory)[0].unlink()
    shutil.copy(tmp_path / "copy", files_of(directory)[0])

    assert "changed since" in look_inside(directory, found).problems[0]
