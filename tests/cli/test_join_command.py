"""``baqup-agent join``: one file of many parts."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.command import baqup_agent
from tests.staging.conftest import names
from tests.staging.forms import AGE, IDENTITY, Form, files_of, flip, incompressible, publish
from tests.staging.oracles import age_decrypt

CONTENT = incompressible(200_000)


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("split")
    return publish(root, Form("gzip", AGE, split=True), CONTENT, "data.bin")


@pytest.fixture
def directory(original, tmp_path) -> Path:
    return Path(shutil.copytree(original, tmp_path / original.name))


NAME = "data.bin.gz.age"


def test_the_joined_file_is_what_cat_gives(directory, tmp_path):
    """And what the ordinary commands restore from."""
    target = tmp_path / "joined"
    done = baqup_agent("join", directory, "--to", target)
    cat = subprocess.run(
        f"cat {directory}/{NAME}.part*", shell=True, capture_output=True, check=True
    )

    assert done.returncode == 0, done
    assert done.stdout.startswith(f"{target}: joined, 4 parts, ")
    assert target.read_bytes() == cat.stdout
    compressed = age_decrypt(target.read_bytes(), IDENTITY, tmp_path)
    plain = subprocess.run(["gzip", "-dc"], input=compressed, capture_output=True, check=True)
    assert plain.stdout == CONTENT


def test_a_directory_takes_the_file_under_its_own_name(directory, tmp_path):
    """As ``cp`` does."""
    (tmp_path / "place").mkdir()
    done = baqup_agent("join", directory, NAME, "--to", tmp_path / "place")

    assert done.returncode == 0, done
    assert names(tmp_path / "place") == [NAME]


def test_a_file_that_is_there_is_exit_73_and_stays(directory, tmp_path):
    """Nothing is overwritten."""
    (tmp_path / "mine").write_text("mine")
    done = baqup_agent("join", directory, "--to", tmp_path / "mine")

    assert done.returncode == 73
    assert "not overwritten" in done.stderr
    assert (tmp_path / "mine").read_text() == "mine"


@pytest.mark.parametrize("damage", ["flip", "missing"])
def test_damage_is_exit_65_and_leaves_no_file(damage, directory, tmp_path):
    """The line names the part."""
    if damage == "flip":
        flip(directory, 70_000)
    else:
        files_of(directory)[1].unlink()
    done = baqup_agent("join", directory, "--to", tmp_path / "joined")

    assert done.returncode == 65
    assert f"{NAME}.part00002" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert names(tmp_path) == [directory.name]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["absent"], "is not a directory"),
        (["{}", "other"], f"the split ones are '{NAME}'"),
        (["{}", "--to", "{}"], "never written to"),
    ],
)
def test_wrong_usage_is_exit_64(arguments, words, directory):
    """One line tells what to name instead."""
    done = baqup_agent("join", *(argument.format(directory) for argument in arguments))

    assert done.returncode == 64
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_help_documents_the_exit_codes():
    """Each that there is."""
    text = " ".join(baqup_agent("join", "--help").stdout.split())

    assert all(code in text for code in ("0 if", "64 for", "65 if", "73 if", "74 if"))
