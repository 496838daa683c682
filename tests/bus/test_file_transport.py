"""The bus without a server: one JSON line for each message, whole or not at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from baqup_agent.bus.file_transport import FileTransport
from baqup_agent.bus.url import FileUrl
from baqup_agent.errors import BusRefused
from tests.bus.samples import AGENT, JOB, event, heartbeat, stamp, status


def test_each_message_is_one_compact_line(tmp_path: Path) -> None:
    """Any tool that reads JSON Lines can follow a job."""
    transport = FileTransport(FileUrl(tmp_path / "bus"), JOB)
    transport.connect()
    sent = [made.to_wire() for made in (heartbeat(stamp(1)), event(stamp(2)), status(stamp(3)))]
    for message in sent:
        transport.send(message)
    transport.close()

    lines = (tmp_path / "bus" / f"{JOB}.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == sent
    assert lines[0] == (
        f'{{"type":"heartbeat","job_id":"{JOB}","agent_id":"{AGENT}",'
        '"timestamp":"2026-03-01T12:00:01.250000Z","seq":1,"state":"running"}'
    )


def test_a_second_run_of_the_job_adds_to_the_file(tmp_path: Path) -> None:
    """Nothing of an earlier attempt is lost."""
    for _ in range(2):
        transport = FileTransport(FileUrl(tmp_path), JOB)
        transport.connect()
        transport.send(status(stamp(1)).to_wire())
        transport.close()

    assert len((tmp_path / f"{JOB}.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize("job_id", ["../escape", "a/b", "", ".", "..", "nul\0"])
def test_a_job_id_is_never_taken_for_a_path(tmp_path: Path, job_id: str) -> None:
    """The file is named after the job, inside the directory."""
    with pytest.raises(BusRefused, match="BAQUP_JOB_ID"):
        FileTransport(FileUrl(tmp_path), job_id)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda root: root / "no" / "parent", "No such file"),
        (lambda root: _file(root / "plain"), "Not a directory"),
        (lambda root: _file(root / "plain") / "below", "Not a directory"),
        (lambda root: root / ("x" * 300), "too long"),
        (lambda root: _taken(root / "bus"), "Is a directory"),
    ],
)
def test_a_directory_that_cannot_be_used_is_refused(tmp_path: Path, make, reason: str) -> None:
    """The error names the directory, the reason and the remedy, on one line."""
    directory = make(tmp_path)
    with pytest.raises(BusRefused, match=reason) as caught:
        FileTransport(FileUrl(directory), JOB).connect()

    assert str(directory) in str(caught.value)
    assert "BAQUP_BUS_URL" in str(caught.value)
    assert "writable directory whose parent exists" in str(caught.value)


def _file(path: Path) -> Path:
    path.write_text("")
    return path


def _taken(directory: Path) -> Path:
    (directory / f"{JOB}.jsonl").mkdir(parents=True)
    return directory


SHORT_WRITE = """
import json, resource, sys
from baqup_agent.bus.file_transport import FileTransport
from baqup_agent.bus.outage import BusUnavailable
from baqup_agent.bus.url import FileUrl
from pathlib import Path
from tests.bus.samples import JOB, event, stamp

directory = Path(sys.argv[1])
path = directory / f"{JOB}.jsonl"
transport = FileTransport(FileUrl(directory), JOB)
transport.connect()
transport.send(event(stamp(1)).to_wire())
size = path.stat().st_size
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, hard))   # room for ten bytes more
try:
    transport.send(event(stamp(2)).to_wire())
except BusUnavailable as error:
    print("outage", path.stat().st_size == size, str(path) in str(error))
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
transport.send(event(stamp(2)).to_wire())
print([json.loads(line)["seq"] for line in path.read_text().splitlines()])
"""


def test_a_line_that_does_not_fit_leaves_nothing_behind(tmp_path: Path) -> None:
    """A short write is undone, and the message is whole when there is room again."""
    done = subprocess.run(
        [sys.executable, "-c", SHORT_WRITE, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        timeout=60,
    )

    assert done.stderr == ""
    assert done.stdout.splitlines() == ["outage True True", "[1, 2]"]


def test_a_write_that_comes_in_pieces_is_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system may take a part of what it is given; the rest follows."""
    transport = FileTransport(FileUrl(tmp_path), JOB)
    transport.connect()
    real_write = os.write
    with monkeypatch.context() as patched:
        patched.setattr(
            "baqup_agent.bus.file_transport.os.write", lambda fd, data: real_write(fd, data[:7])
        )
        transport.send(event(stamp(1)).to_wire())
    transport.close()

    (line,) = (tmp_path / f"{JOB}.jsonl").read_text().splitlines()
    assert json.loads(line) == event(stamp(1)).to_wire()


def test_what_a_dead_process_wrote_is_not_written_again(tmp_path: Path) -> None:
    """Its successor finds the same events in the outbox, and knows those that are in the file."""
    sent = [event(stamp(seq)).to_wire() for seq in range(1, 6)]
    before = FileTransport(FileUrl(tmp_path), JOB)
    before.connect()
    before.append(sent[:3])
    before.close()
    with (tmp_path / f"{JOB}.jsonl").open("a") as file:
        file.write("no message\n[]\n")
    after = FileTransport(FileUrl(tmp_path), JOB)
    after.connect()
    after.append(sent)
    after.close()

    lines = (tmp_path / f"{JOB}.jsonl").read_text().splitlines()
    assert [json.loads(line)["seq"] for line in lines if "seq" in line] == [1, 2, 3, 4, 5]
