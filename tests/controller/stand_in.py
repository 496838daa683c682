#!/usr/bin/env python3

"""An agent that knows nothing of the SDK: it speaks the contract by hand, or breaks it on purpose.

Started like any agent, with the role as its argument; the variable BEHAVIOUR names the function
below that it follows. What it does by hand here is all that an agent in any language has to do.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

JOB_ID = os.environ["BAQUP_JOB_ID"]
DIRECTORY = Path(os.environ["BAQUP_STAGING_DIR"]) / JOB_ID
BUS_FILE = Path(
    os.environ.get("BUS_FILE")  # where a test wants them, for a bus that this agent cannot speak to
    or Path(urlsplit(os.environ["BAQUP_BUS_URL"]).path) / f"{JOB_ID}.jsonl"
)
ROLE = sys.argv[1] if len(sys.argv) > 1 else ""
STARTED = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
ERROR = {
    "code": "SOURCE_UNAVAILABLE",
    "category": "transient",
    "retriable": True,
    "message": "database db.example does not answer",
    "attempts": [],
    "root_cause": None,
    "cascading_effects": [],
    "suggestions": ["check that the database is up"],
}
COMPONENTS = {
    "summary": {"total": 2, "succeeded": 1, "failed": 1},
    "components": [
        {"name": "shop", "status": "succeeded", "artifact": "data.bin"},
        {"name": "crm", "status": "failed", "error": {"code": "NO_SUCH_DB", "message": "gone"}},
    ],
}
ABORTED = {**ERROR, "code": "ABORTED", "message": "SIGTERM ended the job"}
sequence = count(1)


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def message(kind, **members):
    head = {"type": kind, "job_id": JOB_ID, "agent_id": "stand-in-1", "timestamp": now()}
    return {**head, "seq": next(sequence), **members}


def say(kind, **members):
    with BUS_FILE.open("a") as bus:
        bus.write(json.dumps(message(kind, **members)) + "\n")


def beat(state, **members):
    say("heartbeat", state=state, **members)


def log(level, text, **context):
    record = {"timestamp": now(), "level": level, "job_id": JOB_ID, "message": text}
    print(json.dumps({**record, "component": "stand_in", "context": context}), file=sys.stderr)


def event(code, times=1, severity="warn"):
    say(
        "event",
        severity=severity,
        code=code,
        message="a file was modified",
        first_occurrence=now(),
        last_occurrence=now(),
        count=times,
        sample_paths=["./a"],
    )


def publish(content=b"the backup\n", promised=None, **changes):
    """Write the artifact and then the manifest, each by a rename."""
    staging = DIRECTORY / ".staging"
    staging.mkdir(parents=True, exist_ok=True)
    (staging / "data.bin").write_bytes(content)
    promised = content if promised is None else promised
    manifest = {
        "version": "1.0",
        "job_id": JOB_ID,
        "agent": "stand-in",
        "role": ROLE,
        "created_at": now(),
        "artifacts": [
            {
                "filename": "data.bin",
                "size_bytes": len(promised),
                "checksum": {"algorithm": "sha256", "value": hashlib.sha256(promised).hexdigest()},
            }
        ],
        **changes,
    }
    (staging / "manifest.json").write_text(json.dumps(manifest))
    (staging / "data.bin").rename(DIRECTORY / "data.bin")
    (staging / "manifest.json").rename(DIRECTORY / "manifest.json")


def status_members(status, exit_code, error=None, size=11, **members):
    files = [] if status == "failed" else [{"path": "data.bin", "size_bytes": size}]
    return {
        "agent": "stand-in",
        "role": ROLE,
        "status": status,
        "started_at": STARTED,
        "completed_at": now(),
        "files": files,
        "metrics": {"duration_seconds": 0.1},
        "warnings_summary": {},
        "error": error,
        "exit_code": exit_code,
        **members,
    }


def report(status, exit_code, **members):
    say("status", **status_members(status, exit_code, **members))


def leave_orphan(status, exit_code, **members):
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    orphan = message("status", **status_members(status, exit_code, **members))
    (DIRECTORY / ".baqup-status.json").write_text(json.dumps(orphan))


def work():
    beat("initializing")
    beat("running")


def success():
    work()
    publish()
    beat("completing")
    report("success", 0)
    beat("terminated")
    return 0


def wait_for_gate():
    """Wait until the test makes the file; it decides how long the agent works."""
    gate, deadline = Path(os.environ["GATE"]), time.monotonic() + 60
    while not gate.exists():
        if time.monotonic() > deadline:
            sys.exit("the gate was never opened")
        time.sleep(0.01)


def talkative(pause=lambda: None):
    """Success, with something of everything that can be shown."""
    beat("initializing")
    beat("running", intent={"operation": "dump", "expected_duration_seconds": 90, "detail": "shop"})
    say("progress", percent_complete=40, bytes_processed=1_300_000, files_processed=3)
    event("FILE_CHANGED")
    event("FILE_CHANGED", times=12)
    event("SYMLINK_SKIPPED", severity="info")
    log("info", "an ordinary step")
    log("warn", "slow source", latency_ms=900)
    print("a line on stdout")
    print("a line that is no log line", file=sys.stderr)
    pause()
    say("progress", percent_complete=100, bytes_processed=3_000_000, files_processed=7)
    publish()
    beat("completing")
    report("success", 0, warnings_summary={"FILE_CHANGED": 12})
    return 0


def talkative_until_gate():
    return talkative(wait_for_gate)


def partial():
    work()
    publish()
    report("partial", 76, **COMPONENTS)
    return 76


def partial_tolerated():
    work()
    publish()
    report("partial", 0, **COMPONENTS)
    return 0


def unreported():
    publish()
    leave_orphan("success", 75)
    return 75


def unreported_without_orphan():
    publish()
    return 75


def unreported_without_manifest():
    leave_orphan("success", 75)
    return 75


def failed():
    work()
    report("failed", 69, error=ERROR)
    beat("failed")
    return 69


def failed_unreported():
    """Fails while the bus is away: the orphan status is all there is."""
    leave_orphan("failed", 69, error=ERROR)
    return 69


def killed():
    work()
    log("error", "about to go down")
    os.kill(os.getpid(), signal.SIGKILL)


def killed_after_publication():
    publish()
    report("success", 0)
    os.kill(os.getpid(), signal.SIGKILL)


def no_manifest():
    work()
    report("success", 0)
    return 0


def corrupt_artifact():
    work()
    publish(content=b"the b4ckup\n", promised=b"the backup\n")
    report("success", 0)
    return 0


def disagreeing_status():
    work()
    publish()
    report("failed", 0, error=ERROR)
    return 0


def mute():
    publish()
    return 0


def anothers_manifest():
    work()
    publish(role="migrate")
    report("success", 0)
    return 0


def crash():
    raise RuntimeError("nobody caught this")


def usage():
    print(f"stand-in: unknown role {ROLE!r}", file=sys.stderr)
    return 64


def no_published_yet():
    """Refuses, because a manifest is there already."""
    report("failed", 73, error={**ERROR, "code": "ALREADY_PUBLISHED", "message": "was there"})
    return 73


def wait_for_term():
    """Block until SIGTERM comes; SIGTERM was blocked before anything was said."""
    if signal.sigtimedwait({signal.SIGTERM}, 60) is None:
        sys.exit("no SIGTERM came")


def aborts():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    work()
    wait_for_term()
    report("failed", 1, error=ABORTED)
    return 1


def finishes_on_term():
    """As in completing: takes note of SIGTERM, and finishes what it had begun."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    beat("completing")
    wait_for_term()
    event("STOP_NOTED", severity="info")
    wait_for_gate()
    if signal.sigtimedwait({signal.SIGTERM}, 0) is not None:
        sys.exit("a second SIGTERM came")
    publish()
    report("success", 0)
    return 0


def beats_until_gate():
    """Beats all the time, as an agent should, until the test opens the gate."""
    gate, deadline = Path(os.environ["GATE"]), time.monotonic() + 60
    while not gate.exists() and time.monotonic() < deadline:
        beat("running")
        time.sleep(0.05)
    return success()


def two_agents():
    say("heartbeat", state="running", agent_id="somebody-else")
    return success()


def answers_probes():
    """Says nothing by itself, but beats when it is asked to, until it was asked three times."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    beat("running")
    for _ in range(3):
        if signal.sigtimedwait({signal.SIGUSR1}, 60) is None:
            sys.exit("no SIGUSR1 came")
        beat("running")
    return success()


def flood():
    """50 MB on stderr, faster than anybody can read."""
    line = b"x" * 99 + b"\n"
    for _ in range(500):
        os.write(2, line * 1000)
    log("error", "the last line of the flood")
    return success()


def endless_line():
    """8 MB without a line's end."""
    for _ in range(80):
        os.write(2, b"y" * 100_000)
    return success()


def garbage():
    noise = bytes(range(256)) * 40
    os.write(1, noise)
    os.write(2, noise)
    with BUS_FILE.open("ab") as bus:
        bus.write(noise + b"\n")
        bus.write(b'{"type":"heartbeat"}\n[1,2]\nnull\n' + b"[" * 100_000 + b"\n")
        bus.write(b'{"type":["status"],"job_id":"x"}\n{"percent_complete":NaN}\n')
    say("heartbeat", state=["running"], intent="none")
    say("progress", percent_complete="half", bytes_processed={}, files_processed=True)
    say("event", code=7, severity=[], count="many", sample_paths="none")
    say("event", code="ODD\x1b[31m", severity="warn", message="bell \x07", count=2)
    return success()


def leaves_child():
    """Ends while a child of its group runs on."""
    child = subprocess.Popen(["sleep", "60"])
    Path(os.environ["CHILD_PID"]).write_text(str(child.pid))
    return success()


def child_out_of_reach():
    """Ends while a process in another session holds its stderr open."""
    child = subprocess.Popen(["sleep", "60"], start_new_session=True)
    Path(os.environ["CHILD_PID"]).write_text(str(child.pid))
    return success()


def shows_environment():
    Path(os.environ["DUMP"]).write_text(json.dumps(dict(os.environ)))
    return success()


if __name__ == "__main__":
    sys.exit(globals()[os.environ["BEHAVIOUR"]]())
