"""``baqup-agent verify`` on directories good and bad."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
from pathlib import Path

import pytest

from baqup_agent.contract import MANIFEST_NAME
from tests.cli.command import PROGRAM, baqup_agent, environment, objects, run_stand_in
from tests.controller.runs import JOB_ID
from tests.staging.forms import (
    AES,
    AES_KEY,
    AGE,
    KEYS,
    Form,
    archive,
    files_of,
    flip,
    publish,
    rewrite,
)


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


def change(directory: Path) -> None:
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
    "damage", [change, shorten, remove, link, add, break_manifest, remove_manifest]
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
    change(copy)
    done = baqup_agent("verify", "--json", published, copy)
    good, bad = objects(done.stdout)

    assert done.returncode == 65
    assert (good["ok"], good["job_id"], good["bytes_checked"]) == (True, JOB_ID, 11)
    assert good["artifacts"][0] | {"ok": True, "problem": None} == good["artifacts"][0]
    assert bad["artifacts"][0]["ok"] is False
    assert bad["directory"] == str(copy)


def test_a_directory_that_is_none_is_exit_64_whatever_the_others_are(published, copy, tmp_path):
    """The good ones are checked all the same."""
    change(copy)
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


@pytest.fixture(scope="module")
def archives(tmp_path_factory) -> dict[str, Path]:
    """An encrypted archive in parts, one for each cipher."""
    root = tmp_path_factory.mktemp("encrypted")
    form = Form("zstd", split=True)
    return {
        cipher: publish(root, form._replace(encryption=cipher), archive(), "data.tar")
        for cipher in (AES, AGE)
    }


@pytest.mark.parametrize("cipher", [AES, AGE])
def test_encrypted_parts_are_verified_without_a_key(cipher, archives):
    """The text says that they were checked as stored, and how to look into them."""
    done = baqup_agent("verify", archives[cipher])

    assert done.returncode == 0, done
    assert "part 1 of 3  encrypted" in done.stdout
    assert "1 artifact encrypted: checked as stored, which takes no key" in done.stdout
    assert "inside" not in done.stdout


@pytest.mark.parametrize("cipher", [AES, AGE])
def test_deep_reads_the_archive_inside(cipher, archives):
    """Decrypted by the key from the environment."""
    done = baqup_agent("verify", "--deep", archives[cipher], BAQUP_SECRET_ARTIFACT_KEY=KEYS[cipher])
    machine = baqup_agent(
        "verify", "--deep", "--json", archives[cipher], BAQUP_SECRET_ARTIFACT_KEY=KEYS[cipher]
    )
    (record,) = objects(machine.stdout)

    assert done.returncode == 0, done
    assert "  inside: data.tar.zst." in done.stdout
    assert "5 members" in done.stdout
    assert "as stored" not in done.stdout
    assert record["contents"][0]["members"] == 5
    assert record["damage"] is None


@pytest.mark.parametrize("key", ["", "?" * 44, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh0="])
def test_deep_without_the_key_is_exit_64(key, archives):
    """It cannot be told whether the backup is good; no key is shown."""
    done = baqup_agent("verify", "--deep", archives[AES], BAQUP_SECRET_ARTIFACT_KEY=key)

    assert done.returncode == 64
    assert done.stdout.startswith(f"{archives[AES]}: not checked")
    assert "BAQUP_SECRET_ARTIFACT_KEY" in done.stdout
    assert not key or key not in done.stdout + done.stderr


def test_the_key_is_no_option(archives):
    """Arguments are seen by everybody on the machine."""
    done = baqup_agent("verify", "--deep", "--key", AES_KEY, archives[AES])

    assert done.returncode == 64
    assert AES_KEY not in done.stderr


def drop(directory: Path) -> None:
    files_of(directory)[1].unlink()


def flip_middle(directory: Path) -> None:
    flip(directory, 80_000)


def unlist(directory: Path) -> None:
    rewrite(directory, lambda artifacts: artifacts.pop(1))


def discard_manifest(directory: Path) -> None:
    (directory / MANIFEST_NAME).unlink()


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (drop, "incomplete"),
        (discard_manifest, "incomplete"),
        (flip_middle, "corrupt"),
        (unlist, "corrupt"),
    ],
)
def test_json_tells_incomplete_from_corrupt(damage, word, archives, tmp_path):
    """Both are exit 65; a script may need to know which."""
    directory = Path(shutil.copytree(archives[AES], tmp_path / archives[AES].name))
    damage(directory)
    done = baqup_agent("verify", "--json", directory)
    (record,) = objects(done.stdout)

    assert done.returncode == 65
    assert record["damage"] == word
    assert record["findings"][0]["damage"] == word


def test_the_root_of_staging_is_exit_64_and_names_a_job(archives):
    """It is the argument that is wrong, not the backup."""
    root = archives[AES].parent
    done = baqup_agent("verify", root)

    assert done.returncode == 64
    assert f"name {root}/JOB_ID" in done.stdout
    assert done.stdout.startswith(f"{root}: not checked")
    assert "discard" not in done.stdout


def test_help_documents_the_exit_codes():
    """Each that there is."""
    text = " ".join(baqup_agent("verify", "--help").stdout.split())

    assert all(code in text for code in ("0 if", "64 if", "65 if", "74 if"))


def test_a_terminal_shows_a_bar(tmp_path):
    """For work that takes long enough to be watched."""
    directory = publish(tmp_path, Form("none"), bytes(70 << 20))
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [*PROGRAM, "verify", str(directory)],
        stdout=subprocess.PIPE,
        stderr=follower,
        stdin=subprocess.DEVNULL,
        env=environment(TERM="xterm"),
    ) as process:
        os.close(follower)
        shown = b"".join(iter(lambda: read_terminal(leader), b""))
        printed, _ = process.communicate(timeout=120)
    os.close(leader)

    assert process.returncode == 0
    assert b"checksums" in shown
    assert b"100%" in shown
    assert b"100%" not in printed


def read_terminal(leader: int) -> bytes:
    """Read what was shown; nothing once the program has let go of the terminal."""
    try:
        return os.read(leader, 100_000)
    except OSError:
        return b""
