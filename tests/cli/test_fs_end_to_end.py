"""The README's commands: back up a tree with agent-fs, verify it, restore it."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.command import PROGRAM, baqup_agent, environment, objects, traced
from tests.controller.runs import JOB_ID


@pytest.fixture
def tree(tmp_path) -> Path:
    """A small tree with something of everything."""
    root = tmp_path / "tree"
    (root / "sub" / "empty").mkdir(parents=True)
    (root / "a file").write_bytes(b"content\n" * 1000)
    (root / "sub" / "zero").touch()
    (root / "link").symlink_to("a file")
    (root / "skipped.tmp").write_text("not wanted")
    os.utime(root / "a file", ns=(1_600_000_000_123_456_789, 1_600_000_000_123_456_789))
    return root


def inventory(root: Path) -> dict[str, tuple[object, ...]]:
    """Return name, mode, time and content of everything in a tree."""
    found = {}
    for path in sorted(root.rglob("*")):
        stat = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        target = str(path.readlink()) if path.is_symlink() else ""
        entry = (stat.st_mode, stat.st_mtime_ns, hashlib.sha256(content).hexdigest(), target)
        found[str(path.relative_to(root))] = entry
    return found


def snapshot(tree: Path, out: Path, *more: object):
    options = ["--source", tree, "--staging", out, "--job-id", JOB_ID, *traced()]
    return baqup_agent("run", "fs", "snapshot", *options, *more)


def test_snapshot_verify_and_restore_give_the_same_tree(tree, tmp_path):
    """Three commands, as the README has them."""
    out = tmp_path / "out"
    made = snapshot(tree, out, "--exclude", "*.tmp")
    verified = baqup_agent("verify", out / JOB_ID)
    restored = baqup_agent(
        *("run", "fs", "restore", "--from", out / JOB_ID, "--target", tmp_path / "back"), *traced()
    )
    (tree / "skipped.tmp").unlink()

    assert (made.returncode, verified.returncode, restored.returncode) == (0, 0, 0), made.stderr
    assert "success: fs snapshot, exit 0" in made.stdout
    assert "success: fs restore, exit 0" in restored.stdout
    assert inventory(tmp_path / "back") == inventory(tree)


@pytest.mark.parametrize("bus", ["file", "embedded"])
def test_every_bus_tells_the_same_story(bus, tree, tmp_path):
    """States in order, progress, one status, the verdict."""
    done = snapshot(tree, tmp_path / "out", "--bus", bus, "--json")
    *messages, verdict = objects(done.stdout)
    states = [m["state"] for m in messages if m["type"] == "heartbeat"]
    statuses = [m for m in messages if m["type"] == "status"]

    assert done.returncode == 0, done.stderr
    assert list(dict.fromkeys(states))[:3] == ["initializing", "running", "completing"]
    assert [status["status"] for status in statuses] == ["success"]
    assert any(message["type"] == "progress" for message in messages)
    assert (verdict["verdict"], verdict["verified"], verdict["orphan"]) == ("success", True, False)


def test_a_bus_that_is_away_leads_to_unreported(tree, tmp_path, start_server):
    """The backup is good, the orphan status tells so, and the exit code is 75."""
    server = start_server()
    server.stop()
    done = snapshot(
        *(tree, tmp_path / "out", "--bus", server.url, "--json"),
        *("--env", "BAQUP_BUS_GRACE_PERIOD=1", "--env", f"BAQUP_BUS_FALLBACK_DIR={tmp_path}/b"),
    )
    verdict = objects(done.stdout)[-1]

    assert done.returncode == 75, done.stderr
    assert (verdict["verdict"], verdict["orphan"], verdict["status"]) == (
        "unreported",
        True,
        "success",
    )
    assert verdict["verified"]


def test_a_password_in_the_bus_url_appears_nowhere(tree, tmp_path, start_server):
    """Neither on stdout nor on stderr, whether it is right or wrong."""
    server = start_server("--requirepass", "r1ght")
    for password, code in (("r1ght", 0), ("wr0ng", 64)):
        url = server.url.replace("redis://", f"redis://:{password}@")
        patience = ("--env", "BAQUP_BUS_GRACE_PERIOD=1")
        done = snapshot(tree, tmp_path / password, "--bus", url, "-v", *patience)

        assert done.returncode == code, done.stderr
        assert password not in (done.stdout + done.stderr).replace(str(tmp_path / password), "")


@pytest.mark.parametrize(
    ("role", "more", "code", "word"),
    [
        ("snapshot", ["--source", "absent"], 69, "absent"),
        ("snapshot", [], 64, "BAQUP_SOURCE_PATH"),
        ("snap", ["--source", "tree"], 64, "snapshot"),
        ("snapshot", ["--source", "tree", "--timeout", "99999999999999999999"], 64, "TIMEOUT"),
        ("snapshot", ["--source", "tree", "--env", "BAQUP_SOURCE_MAX_FILES=1"], 65, "MAX_FILES"),
    ],
)
def test_the_agents_own_refusals_reach_the_summary(
    role, more, code, word, tree, tmp_path, monkeypatch
):
    """With the contract's exit code, the reason, and nothing published."""
    monkeypatch.chdir(tmp_path)
    done = baqup_agent("run", "fs", role, "--staging", "out", *more, *traced())

    assert done.returncode == code, done.stderr
    assert "failed: fs" in done.stdout
    assert word in done.stdout
    assert not list(tmp_path.glob("out/*/manifest.json"))
    assert "Traceback" not in done.stdout + done.stderr


def test_a_damaged_backup_is_not_restored(tree, tmp_path):
    """The target is not even made."""
    snapshot(tree, tmp_path / "out")
    artifact = tmp_path / "out" / JOB_ID / "data.tar.zst"
    content = bytearray(artifact.read_bytes())
    content[len(content) // 2] ^= 1
    artifact.write_bytes(content)
    done = baqup_agent(
        *("run", "fs", "restore", "--from", artifact.parent, "--target", tmp_path / "back"),
        *traced(),
    )

    assert done.returncode == 65, done.stderr
    assert "VERIFICATION_FAILED" in done.stdout
    assert not (tmp_path / "back").exists()


def test_the_same_job_is_not_published_twice(tree, tmp_path):
    """The second run fails with the contract's code, the first one's work is untouched."""
    snapshot(tree, tmp_path / "out")
    before = inventory(tmp_path / "out" / JOB_ID)
    done = snapshot(tree, tmp_path / "out")

    assert done.returncode == 73, done.stderr
    assert "ALREADY_PUBLISHED" in done.stdout
    assert inventory(tmp_path / "out" / JOB_ID)["manifest.json"] == before["manifest.json"]


def test_a_signal_during_a_real_snapshot_aborts_it(tmp_path):
    """Exit 1, ABORTED, no manifest, and no process left."""
    (tmp_path / "tree").mkdir()
    for number in range(3000):
        (tmp_path / "tree" / str(number)).write_bytes(os.urandom(30_000))
    options = ["--source", "tree", "--staging", "out", "--json", "--job-id", JOB_ID]
    process = subprocess.Popen(
        [*PROGRAM, "run", "fs", "snapshot", *options],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(),
    )
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(json.loads(line))
        if seen[-1].get("state") == "running":
            process.send_signal(signal.SIGINT)
    process.stdout.close()

    assert process.wait(60) == 1
    assert seen[-1]["verdict"] == "failed"
    assert seen[-1]["error"]["code"] == "ABORTED"
    assert not (tmp_path / "out" / JOB_ID / "manifest.json").exists()
