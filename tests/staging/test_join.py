"""Joining the parts of a split artifact."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from baqup_agent.errors import IOFailure, OutputError, UsageError, VerificationFailed
from baqup_agent.staging.joining import join, split_artifact

from .conftest import mounted, names, tree
from .forms import AES, Form, files_of, flip, incompressible, name_of, publish

CONTENT = incompressible(300_000)


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    return publish(tmp_path_factory.mktemp("split"), Form("none", split=True), CONTENT)


@pytest.fixture
def directory(original, tmp_path) -> Path:
    return Path(shutil.copytree(original, tmp_path / original.name))


@pytest.fixture
def place(tmp_path) -> Path:
    target = tmp_path / "place"
    target.mkdir()
    return target


def test_parts_become_what_was_cut(directory, place):
    """Byte for byte; the published directory is untouched."""
    before = tree(directory)

    joined = join(directory, split_artifact(directory), place / "data")

    assert joined.path.read_bytes() == CONTENT
    assert names(place) == ["data"]
    assert tree(directory) == before


def test_the_stored_form_is_kept(tmp_path, place):
    """Joining neither decrypts nor decompresses: the result is what ``cat`` gives."""
    directory = publish(tmp_path, Form("zstd", AES, split=True), CONTENT)
    whole = split_artifact(directory)

    join(directory, whole, place / whole.name)

    assert whole.name == "data.zst.tink"
    stored = b"".join(path.read_bytes() for path in files_of(directory))
    assert (place / whole.name).read_bytes() == stored


@pytest.mark.parametrize("name", [None, "data", "data.part00003"])
def test_the_artifact_may_be_named_or_not(name, directory):
    """Alone it need not be; any of its parts names it too."""
    assert split_artifact(directory, name).name == "data"


@pytest.mark.parametrize("name", ["other", "", "manifest.json", "../data"])
def test_an_unknown_name_is_a_usage_error(name, directory):
    """It tells what there is."""
    with pytest.raises(UsageError, match="'data'"):
        split_artifact(directory, name)


def test_what_is_not_split_is_not_joined(tmp_path):
    """Neither by name nor without one."""
    directory = publish(tmp_path, Form("zstd"), CONTENT)

    with pytest.raises(UsageError, match="nothing to join"):
        split_artifact(directory)
    with pytest.raises(UsageError, match="copy it"):
        split_artifact(directory, name_of(directory))


@pytest.mark.parametrize("kind", ["file", "directory", "dangling link"])
def test_nothing_is_overwritten(kind, directory, place):
    """Whatever has the name already; it stays as it was, and nothing else is left."""
    target = place / "data"
    if kind == "file":
        target.write_text("mine")
    elif kind == "directory":
        target.mkdir()
    else:
        target.symlink_to("nowhere")

    with pytest.raises(OutputError, match="not overwritten"):
        join(directory, split_artifact(directory), target)

    assert names(place) == ["data"]
    assert kind != "file" or target.read_text() == "mine"


def test_a_file_that_appears_meanwhile_is_not_overwritten(directory, place):
    """Looking first is not enough: the name is taken in one step."""
    target = place / "data"

    def intrude(_: int) -> None:
        target.write_text("mine")

    with pytest.raises(OutputError, match="not overwritten"):
        join(directory, split_artifact(directory), target, intrude)

    assert target.read_text() == "mine"
    assert names(place) == ["data"]


@pytest.mark.parametrize("taken", [False, True])
def test_a_filesystem_without_hard_links_will_do(taken, directory, place, monkeypatch):
    """Then the name is looked for once more, and the file renamed."""
    target = place / "data"

    def refuse(*_: object, **__: object) -> None:
        if taken:
            target.write_text("mine")
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    if taken:
        with pytest.raises(OutputError, match="not overwritten"):
            join(directory, split_artifact(directory), target)
        assert target.read_text() == "mine"
    else:
        join(directory, split_artifact(directory), target)
        assert target.read_bytes() == CONTENT
    assert names(place) == ["data"]


def test_nothing_is_written_into_the_published_directory(directory):
    """A file that the manifest does not list would spoil it."""
    before = tree(directory)

    with pytest.raises(UsageError, match="never written to"):
        join(directory, split_artifact(directory), directory / "data")

    assert tree(directory) == before


@pytest.mark.parametrize("tenth", range(10))
def test_a_flipped_bit_leaves_no_file(tenth, directory, place):
    """Each part is verified while it is copied."""
    flip(directory, len(CONTENT) * tenth // 10)

    with pytest.raises(VerificationFailed, match="sha256"):
        join(directory, split_artifact(directory), place / "data")

    assert names(place) == []


def test_a_missing_part_costs_no_time(directory, place):
    """It is found before anything is copied."""
    files_of(directory)[-1].unlink()
    seen: list[int] = []

    with pytest.raises(VerificationFailed, match="missing"):
        join(directory, split_artifact(directory), place / "data", seen.append)

    assert seen == []
    assert names(place) == []


def test_an_interruption_leaves_no_file(directory, place):
    """Ctrl-C in the middle."""

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        join(directory, split_artifact(directory), place / "data", interrupt)

    assert names(place) == []


def test_a_place_that_is_not_there_is_an_output_error(directory, place):
    """Its name is told."""
    with pytest.raises(OutputError, match="absent"):
        join(directory, split_artifact(directory), place / "absent" / "data")


def test_a_full_disk_is_an_io_error_and_leaves_no_file(directory, tmp_path):
    """A real one, of 128 KiB."""
    with mounted(tmp_path / "full", "-t", "tmpfs", "-o", "size=128k", "tmpfs") as disk:
        with pytest.raises(IOFailure, match="free space"):
            join(directory, split_artifact(directory), disk / "data")

        assert names(disk) == []
