"""An agent whose conduct is asked for by ``BAQUP_SOURCE_ACT``; run as a script by the tests.

It stands on the public API alone, like an author's.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable

from baqup_agent import Agent, ExitCode, Job, errors

FOREVER_S = 3600


def write(job: Job, name: str = "data.bin", size: int = 200_000) -> None:
    with job.staging.artifact(name) as out:
        for _ in range(10):
            out.write(os.urandom(size // 10))
            job.progress(bytes_processed=out.bytes_in, files_processed=1)


def ready(job: Job) -> None:
    """Let the test know that the act has begun."""
    job.log.info("act begun")


def heed(job: Job) -> None:
    """Works on, and stops when asked to."""
    write(job)
    ready(job)
    while True:
        job.cancellation.sleep(0.01)


def write_on(job: Job) -> None:
    """Writes without end and never looks at the cancellation itself."""
    with job.staging.artifact("endless.bin", compress=False) as out:
        ready(job)
        while True:
            out.write(b"x" * 1000)
            time.sleep(0.001)


def swallow(job: Job) -> None:
    """Catches every Exception there is."""
    ready(job)
    while True:
        try:
            job.progress(files_processed=1)
            time.sleep(0.001)
        except Exception:  # noqa: BLE001
            continue


def deaf_in_c(job: Job) -> None:
    """Blocks in C without the interpreter's lock."""
    ready(job)
    time.sleep(FOREVER_S)


def deaf_holding_the_lock(job: Job) -> None:
    """Blocks in C and holds the interpreter's lock."""
    ready(job)
    ctypes.PyDLL(None).sleep(FOREVER_S)


def deaf_in_python(job: Job) -> None:
    """Computes without end."""
    ready(job)
    while True:
        pass


def child(job: Job) -> None:
    """Waits for a child that has a child, both deaf to SIGTERM."""
    ready(job)
    job.run(["sh", "-c", f"trap '' TERM; sh -c \"trap '' TERM; sleep {os.environ['NAP']}\"; true"])


def own_child(job: Job) -> None:
    """Starts a child without the SDK, in a session of its own."""
    subprocess.Popen(["sleep", os.environ["NAP"]], start_new_session=True)
    ready(job)
    heed(job)


def orphan(job: Job) -> None:
    """Leaves a grandchild behind and ends well."""
    write(job)
    subprocess.run(["sh", "-c", f"sleep {os.environ['NAP']} &"], check=True)
    ready(job)


def compute(job: Job) -> None:
    """Computes in pure Python for a while."""
    ready(job)
    end = time.monotonic() + float(os.environ["COMPUTE_S"])
    value = 0
    while time.monotonic() < end:
        for _ in range(10_000):
            value = (value * 31 + 7) % 1_000_003
    write(job)


def write_four(job: Job) -> None:
    for number in range(4):
        write(job, f"part-{number}.bin", size=2_000_000)


def leave_thread(job: Job) -> None:
    """Leaves a thread behind that would keep the interpreter alive for ever."""
    write(job)
    threading.Thread(target=time.sleep, args=(FOREVER_S,)).start()


def components(job: Job) -> None:
    for name in ("one", "two", "three"):
        with job.component(name):
            write(job, f"{name}.bin")
            if name == "two":
                raise errors.SourceUnavailable("two is not there")


def components_all_fail(job: Job) -> None:
    for name in ("one", "two"):
        with job.component(name):
            raise errors.DataError(f"{name} is broken")


def failing_child(job: Job) -> None:
    job.run(["sh", "-c", "echo the reason >&2; exit 3"])


def intent(job: Job) -> None:
    with job.intent("count", expected_duration_s=5):
        job.cancellation.sleep(0.2)  # a pause in which the beat gets out
    job.cancellation.sleep(0.2)
    write(job)


def wait_a_moment(job: Job) -> None:
    """Gives the test time to go away, and says a lot to nobody."""
    job.cancellation.sleep(0.3)
    for _ in range(1000):
        job.log.info("x" * 1000)
    write(job)


def retry(job: Job) -> None:
    def connect() -> None:
        raise ConnectionRefusedError(111, "Connection refused")

    job.retry(connect)


def leak(job: Job) -> None:
    """Puts a secret everywhere that an author could."""
    secret = job.config["BAQUP_SECRET_DB_PASSWORD"].reveal()
    write(job)
    job.log.warn(f"logged {secret}", context=secret)
    job.event("LEAKED", message=f"event {secret}", path=f"/x/{secret}")
    job.metadata(connection=f"db://me:{secret}@host")
    job.progress(current_file=secret)
    with job.intent("leak", expected_duration_s=1, detail=secret):
        job.run(["sh", "-c", "env > env.txt"], cwd=os.environ["CWD"])
    raise errors.DataError(f"failed with {secret}")


def raising(error: Callable[[], BaseException]) -> Callable[[Job], None]:
    def act(job: Job) -> None:
        write(job)
        raise error()

    return act


def nothing(job: Job) -> None:
    """Ends well and has written nothing."""


def open_artifact(job: Job) -> None:
    """Leaves an artifact open."""
    job.staging.artifact("open.bin").__enter__().write(b"half")


ACTS = {
    "write": write,
    "write-four": write_four,
    "heed": heed,
    "write-on": write_on,
    "swallow": swallow,
    "deaf-in-c": deaf_in_c,
    "deaf-holding-the-lock": deaf_holding_the_lock,
    "deaf-in-python": deaf_in_python,
    "child": child,
    "own-child": own_child,
    "orphan": orphan,
    "compute": compute,
    "leave-thread": leave_thread,
    "components": components,
    "components-all-fail": components_all_fail,
    "failing-child": failing_child,
    "intent": intent,
    "wait-a-moment": wait_a_moment,
    "retry": retry,
    "leak": leak,
    "nothing": nothing,
    "open-artifact": open_artifact,
    "raise-general": raising(lambda: errors.GeneralFailure("no luck")),
    "raise-config": raising(lambda: errors.ConfigError("wrong")),
    "raise-data": raising(lambda: errors.DataError("malformed")),
    "raise-limit": raising(lambda: errors.LimitExceeded("too much")),
    "raise-escape": raising(lambda: errors.PathEscape("outside")),
    "raise-unavailable": raising(lambda: errors.SourceUnavailable("gone")),
    "raise-refused": raising(lambda: ConnectionRefusedError(111, "Connection refused")),
    "raise-timeout": raising(lambda: TimeoutError("too slow")),
    "raise-output": raising(lambda: errors.OutputError("cannot create")),
    "raise-oserror": raising(lambda: OSError(5, "Input/output error")),
    "raise-value": raising(lambda: ValueError("a bug")),
    "raise-memory": raising(MemoryError),
    "raise-exit-0": raising(lambda: SystemExit(0)),
    "raise-exit-3": raising(lambda: SystemExit(3)),
    "raise-interrupt": raising(KeyboardInterrupt),
    "bad-name": lambda job: write(job, "../escape"),
    "same-name": lambda job: (write(job), write(job)),  # type: ignore[func-returns-value]
    "unset": lambda job: job.config["BAQUP_SOURCE_HOST"],
}


class ActorAgent(Agent):
    """Does what ``BAQUP_SOURCE_ACT`` names."""

    name = "agent-actor"
    version = "1.2.3"

    def snapshot(self, job: Job) -> None:
        ACTS[job.config["BAQUP_SOURCE_ACT"]](job)

    def restore(self, job: Job) -> None:
        ACTS[job.config["BAQUP_SOURCE_ACT"]](job)


if __name__ == "__main__":
    assert ExitCode.SUCCESS == 0
    sys.exit(ActorAgent.main())
