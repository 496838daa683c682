"""SIGKILL at any instant: what was appended is there, once, in order."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

from baqup_agent.bus.outbox import adopt
from tests.bus.outbox.boxes import numbers, said
from tests.bus.samples import JOB

#: With a place for the number.
MESSAGE = said("event", 0).replace(":0}", ":%d}")

#: Appends without end, acknowledges half of what it reads, and tells of each step that is done.
WRITER = """
import os, sys
from pathlib import Path
from baqup_agent.bus.outbox import Sizes, open_outbox
sizes = Sizes(segment_bytes=2000, idle_bytes=500, cached_bytes=3000, cached_records=20)
outbox = open_outbox(Path(sys.argv[1]), job_id=sys.argv[2], agent_id=sys.argv[3], key_prefix="",
                     sizes=sizes)
seq = 0
while True:
    for _ in range(7):
        seq += 1
        outbox.append("event", "info", sys.argv[4] % seq)
        os.write(1, b"a%d\\n" % seq)
    for record in outbox.read(4, 10**6):
        acknowledged = record.ticket
        os.write(1, b"b%d\\n" % acknowledged)
        outbox.acknowledge(acknowledged)
        os.write(1, b"c%d\\n" % acknowledged)
"""


def last(told: list[str], word: str) -> int:
    return max((int(line[1:]) for line in told if line.startswith(word)), default=0)


def test_a_killed_writer_leaves_every_record_that_it_appended(tmp_path, long):
    """None missing, none twice, in order; nothing comes back that was surely acknowledged."""
    dice = random.Random(7)
    for attempt in range(150 if long else 8):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), JOB, f"agent-{attempt}", MESSAGE],
            stdout=subprocess.PIPE,
        )
        assert writer.stdout is not None
        told = os.read(writer.stdout.fileno(), 1 << 16)  # it is up
        # Drained all the while, or the pipe would stop it.
        until_s = time.monotonic() + dice.random() * 0.05
        while time.monotonic() < until_s:
            told += os.read(writer.stdout.fileno(), 1 << 16)
        os.kill(writer.pid, signal.SIGKILL)
        told += writer.stdout.read()
        writer.wait()
        writer.stdout.close()
        lines = told.decode().split("\n")[:-1]
        appended, tried, acknowledged = (last(lines, word) for word in "abc")
        (outbox,) = adopt(tmp_path, JOB, "the-heir")
        left = numbers(outbox.read(10**6, 10**9))
        outbox.acknowledge(outbox.last_ticket)
        outbox.close()

        assert left == list(range(left[0], left[0] + len(left)))
        assert left[0] in {acknowledged + 1, tried + 1}
        assert left[-1] in {appended, appended + 1}
        assert outbox.corrupt == 0
    assert list(tmp_path.iterdir()) == []
