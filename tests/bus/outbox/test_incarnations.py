"""Several processes, one directory: who owns what, and for how long."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from baqup_agent.bus.outbox import adopt, open_outbox, outboxes
from baqup_agent.bus.outbox.incarnation import Identity, create_or_reopen
from tests.bus.outbox.boxes import box, crash, everything, fill, heir, message, numbers
from tests.bus.samples import AGENT, JOB, HandClock
from tests.waiting import eventually

OWNER = """
import os, sys
from pathlib import Path
from baqup_agent.bus.outbox import open_outbox
outbox = open_outbox(Path(sys.argv[1]), job_id=sys.argv[2], agent_id="owner", key_prefix="")
outbox.append("event", "info", sys.argv[3])
"""


def start_owner(root: Path, then: str) -> subprocess.Popen[str]:
    """Start a process that opens an outbox, does ``then`` and waits to be killed."""
    script = OWNER + then + "\nprint('up', flush=True)\nsys.stdin.read()"
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(root), JOB, message(1)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("up")
    return process


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    process.stdout.close()


def test_a_live_outbox_is_left_alone_and_a_dead_one_adopted(tmp_path):
    """Life is the process's, told by the kernel."""
    owner = start_owner(tmp_path, "")
    try:
        assert list(adopt(tmp_path, JOB, AGENT)) == []
        assert [found.alive for found in outboxes(tmp_path)] == [True]
    finally:
        kill(owner)
    assert [found.alive for found in outboxes(tmp_path)] == [False]

    assert numbers(everything(heir(tmp_path))) == [1]


def test_a_forked_child_that_outlives_its_parent_keeps_no_lock(tmp_path):
    """Neither does a program that the parent started."""
    then = (
        "import subprocess\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    import signal\n"
        "    signal.pause()\n"
        "program = subprocess.Popen(['sleep', '60'], close_fds=False)\n"
        "print('up', child, program.pid, flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER + then + "sys.stdin.read()", str(tmp_path), JOB, message(1)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    children = list(map(int, process.stdout.readline().split()[1:]))
    try:
        assert list(adopt(tmp_path, JOB, AGENT)) == []
        kill(process)
        for child in children:
            os.kill(child, 0)  # it lives
        # The child lets go of the lock first thing, but it may not have run at all by now.
        adopted = eventually(lambda: list(adopt(tmp_path, JOB, AGENT)))
        assert numbers(everything(adopted[0])) == [1]
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)


def test_a_forked_child_leaves_its_parents_outbox_alone(tmp_path):
    """Whatever it calls: nothing is written, nothing removed."""
    outbox = box(tmp_path)
    fill(outbox, range(2))
    child = os.fork()
    if not child:
        try:
            took = outbox.append("event", "info", "{}")
            outbox.acknowledge(2)
            outbox.sync()
            outbox.close()
            os._exit(took)
        finally:
            os._exit(99)
    _, ended = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(ended) == 0
    fill(outbox, range(2, 4))
    assert list(adopt(tmp_path, JOB, "the-heir")) == []
    crash(outbox)
    assert numbers(everything(heir(tmp_path))) == [0, 1, 2, 3]


def test_reading_ones_own_lock_file_does_not_lose_the_lock(tmp_path):
    """An agent may back up the very directory that its outbox is in."""
    outbox = box(tmp_path)
    (tmp_path / JOB / AGENT / "lock").read_bytes()

    assert list(adopt(tmp_path, JOB, "the-heir")) == []
    outbox.close()


def test_two_processes_of_one_name_do_not_share_an_outbox(tmp_path):
    """The second is served in memory, and told why."""
    owner = start_owner(tmp_path, "")
    try:
        second = open_outbox(tmp_path, job_id=JOB, agent_id="owner", key_prefix="")
        assert second.degraded is not None
        assert "another process uses it" in second.degraded
    finally:
        kill(owner)


def test_orphans_are_adopted_oldest_first_and_ones_own_is_not(tmp_path):
    """By the time they were made, whatever their names are."""
    clock = HandClock()
    for agent in ("c", "a", "b"):
        crash(box(tmp_path, agent, clock=clock))
        clock.advance(1)
    own = box(tmp_path, "own", clock=clock)
    adopted = list(adopt(tmp_path, JOB, "own"))

    assert [outbox.identity.agent_id for outbox in adopted] == ["c", "a", "b"]
    assert list(adopt(tmp_path, JOB, "another")) == []
    own.close()


def test_another_jobs_orphans_are_not_adopted(tmp_path):
    """Nor is anything found where there is nothing."""
    crash(box(tmp_path))

    assert list(adopt(tmp_path, "another-job", "the-heir")) == []
    assert list(adopt(tmp_path, "..", "the-heir")) == []
    assert list(adopt(tmp_path / "absent", JOB, "the-heir")) == []


def test_an_unfinished_directory_is_nobodys_outbox_and_is_swept_away(tmp_path):
    """Unless its process is still busy with it."""
    crash(box(tmp_path))
    left = tmp_path / JOB / ".123-gone"
    left.mkdir()
    for name in ("lock", "outbox.json", "cursor"):
        (left / name).write_text("")
    old, new = tmp_path / JOB / ".125-old", tmp_path / JOB / ".126-new"
    old.mkdir()
    new.mkdir()
    os.utime(old, (0, 0))
    busy = create_or_reopen(tmp_path, Identity(JOB, "busy", "", ""))
    (tmp_path / JOB / "busy").rename(tmp_path / JOB / ".124-busy")

    heir(tmp_path)
    assert sorted(path.name for path in (tmp_path / JOB).iterdir()) == [
        ".124-busy",
        ".126-new",
        AGENT,
    ]
    busy.close()


def test_outboxes_come_and_go_side_by_side(tmp_path):
    """The job's directory goes with the last one, and comes back with the next."""

    def come_and_go(agent: str) -> None:
        for number in range(40):
            outbox = open_outbox(tmp_path, job_id=JOB, agent_id=agent, key_prefix="")
            trouble.extend(filter(None, [outbox.degraded]))
            outbox.append("event", "info", message(number))
            outbox.acknowledge(1)
            outbox.close()

    trouble: list[str] = []
    threads = [threading.Thread(target=come_and_go, args=(f"agent-{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert trouble == []
    assert list(tmp_path.iterdir()) == []


def test_every_outbox_of_a_directory_is_found(tmp_path):
    """From any of the three levels, without changing anything."""
    crash(box(tmp_path, "one"))
    alive = box(tmp_path, "two")
    other = open_outbox(tmp_path, job_id="other", agent_id="three", key_prefix="p:")
    crash(other)
    (tmp_path / "empty" / "directory").mkdir(parents=True)
    (tmp_path / "file").write_text("")

    found = [(it.identity.job_id, it.identity.agent_id, it.alive) for it in outboxes(tmp_path)]
    assert found == [(JOB, "one", False), (JOB, "two", True), ("other", "three", False)]
    assert len(outboxes(tmp_path / JOB)) == 2
    assert [it.path for it in outboxes(tmp_path / JOB / "two")] == [tmp_path / JOB / "two"]
    alive.close()


def test_an_outbox_can_be_looked_at_without_touching_it(tmp_path):
    """Not even a torn tail is mended, and nothing goes when it is closed."""
    outbox = box(tmp_path)
    fill(outbox, range(3))
    crash(outbox)
    home = tmp_path / JOB / AGENT
    with (home / "00000001.jsonl").open("ab") as file:
        file.write(b"torn")
    before = {path.name: path.read_bytes() for path in home.iterdir()}
    (found,) = outboxes(tmp_path)
    looked = found.open(repair=False)

    assert numbers(everything(looked)) == [0, 1, 2]
    looked.acknowledge(3)
    looked.sync()
    looked.close()
    assert {path.name: path.read_bytes() for path in home.iterdir()} == before


@pytest.mark.skipif(os.geteuid() != 0, reason="chown needs root")
def test_what_may_not_be_entered_is_found_and_told(tmp_path, monkeypatch):
    """A directory of another user is neither believed nor passed over in silence."""
    for agent in ("one", "two"):
        crash(box(tmp_path, agent))
    os.chown(tmp_path / JOB / "one", 4321, -1)
    assert [found.unusable for found in outboxes(tmp_path)] == [None, None]  # root may

    monkeypatch.setattr("os.geteuid", lambda: 1234)
    one, two = sorted(outboxes(tmp_path), key=lambda found: found.path)
    assert (one.path, two.path) == (tmp_path / JOB / "one", tmp_path / JOB / "two")
    assert "another user (uid 4321)" in (one.unusable or "")
    assert two.unusable is None
