"""``baqup-agent verify`` on directories good and bad."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.cli.command import baqup_agent, objects, run_stand_in
from tests.controller.runs import JOB_ID


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    """A directory that the stand-in agent published."""
    root = tmp_path_factory.mktemp("staging")
    assert run_stand_in("success", root, "--job-id", JOB_ID).returncode == 0
    return root / JOB_ID


@pytest.fixture
def copy(published, tmp_path) -> Path:
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(published, tmp_path / JOB_ID))


def test_a_good_directory_is_valid(published):
    """Each artifact has its word."""
    done = baqup_agent("verify", published)
    lines = done.stdout.splitlines()

    assert done.returncode == 0
    assert lines[0] == f"{published}: valid"
    assert lines[1].split()[:2] == ["ok", "data.bin"]


def flip(directory: Path) -> None:
    (directory / "data.bin").write_bytes(b"the b4ckup\n")


def shorten(directory: Path) -> None:
    (directory / "data.bin").write_bytes(b"the")


def remove(directory: Path) -> None:
    (directory / "data.bin").unlink()


def link(directory: Path) -> None:
    (directory / "data.bin").rename(directory.parent / "elsewhere")
    (directory / "data.bin").symlink_to(directory.parent / "elsewhere")


def add(directory: Path) -> None:
    (directory / "extra").write_text("")


def break_manifest(directory: Path) -> None:
    (directory / "manifest.json").write_text("{")


def remove_manifest(directory: Path) -> None:
    (directory / "manifest.json").unlink()


@pytest.mark.parametrize(
    "damage", [flip, shorten, remove, link, add, break_manifest, remove_manifest]
)
def test_any_damage_is_exit_65(damage, copy):
    """As text and as JSON."""
    damage(copy)
    text, machine = baqup_agent("verify", copy), baqup_agent("verify", "--json", copy)
    (record,) = objects(machine.stdout)

    assert (text.returncode, machine.returncode) == (65, 65)
    assert text.stdout.splitlines()[0] == f"{copy}: not valid"
    assert "  problem: " in text.stdout
    assert record["ok"] is False
    assert record["problems"]


def test_json_tells_each_artifact(published, copy):
    """One object for each directory, in their order."""
    flip(copy)
    done = baqup_agent("verify", "--json", published, copy)
    good, bad = objects(done.stdout)

    assert done.returncode == 65
    assert (good["ok"], good["job_id"], good["bytes_checked"]) == (True, JOB_ID, 11)
    assert good["artifacts"][0] | {"ok": True, "problem": None} == good["artifacts"][0]
    assert bad["artifacts"][0]["ok"] is False
    assert bad["directory"] == str(copy)


def test_a_directory_that_is_none_is_exit_64_whatever_the_others_are(published, copy, tmp_path):
    """The good ones are checked all the same."""
    flip(copy)
    (tmp_path / "file").write_text("")
    done = baqup_agent("verify", published, copy, tmp_path / "file", tmp_path / "absent")

    assert done.returncode == 64
    assert f"{tmp_path}/file is not a directory" in done.stderr
    assert f"{tmp_path}/absent does not exist" in done.stderr
    assert f"{published}: valid" in done.stdout
    assert f"{copy}: not valid" in done.stdout


def test_a_name_that_is_no_text_is_shown_as_escapes(tmp_path):
    """Neither the name nor an escape sequence in it reaches the terminal."""
    odd = os.fsencode(tmp_path) + b"/a\xff\x1b[31m"
    os.mkdir(odd)  # noqa: PTH102  a name of bytes
    done = baqup_agent("verify", os.fsdecode(odd))

    assert done.returncode == 65
    assert "\x1b" not in done.stdout
    assert r"\x1b[31m: not valid" in done.stdout
