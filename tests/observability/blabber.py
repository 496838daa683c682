"""An agent that lets its secrets slip wherever an author could; run as a script by the tests.

It tells them everywhere first, and then ends as ``BAQUP_SOURCE_END`` says.
"""

from __future__ import annotations

import base64
import json
import logging
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from urllib.parse import quote

from baqup_agent import Agent, Job, errors

FOREVER_S = 3600


class Broken(Exception):
    """An author's own exception, with the secret as an argument."""


def tell(job: Job, told: str) -> None:
    """Put a text everywhere that the SDK carries to the outside."""
    job.log.warn(f"logged {told}", context=told, nested={told: [told, {"x": told}]})
    job.log.bind(told).error(told, password=told, n=1)
    logging.getLogger("a.library").error("by a library: %s", told, extra={"extra": told})
    warnings.warn(told, stacklevel=1)
    job.event("LEAKED", message=f"event {told}", path=f"/x/{told}/y")
    job.warn("FILE_CHANGED", message=told, path=told)
    job.progress(current_file=f"/srv/{told}")
    with job.intent(told, expected_duration_s=1, detail=f"at {told}"):
        job.progress(current_file=told)
    job.metadata(connection=f"db://me:{told}@host", type=told, **{told: {told: [told]}})


def tell_everything(job: Job) -> None:
    for name in sorted(job.config):
        if not name.startswith("BAQUP_SECRET_"):
            continue
        secret = job.config[name].reveal()
        raw = secret.encode("utf-8", "surrogateescape")
        told = [secret, quote(raw), json.dumps(secret), raw.hex(), repr(secret)]
        told += [base64.b64encode(b"x" * before + raw + b"yz").decode() for before in range(3)]
        tell(job, " ".join(told))
        for text in told[:2]:
            tell(job, text)
        child = job.run(["sh", "-c", "printenv P >&2; exit 3"], env={"P": secret}, check=False)
        job.log.error("a child failed", stderr=child.stderr, child=child)
        with job.component(f"part-{name}"):
            raise Broken(secret, job.config[name])
    dying = threading.Thread(target=fail, args=(job,))
    dying.start()
    dying.join()


def fail(job: Job) -> None:
    password = job.config["BAQUP_SECRET_PASSWORD"].reveal()
    try:
        raise Broken(password)
    except Broken as error:
        error.add_note(password)
        raise ValueError(f"could not use {password}") from error


def write(job: Job, name: str = "data.bin") -> None:
    with job.staging.artifact(name) as out:
        out.write(b"nothing secret" * 1000)


def succeed(job: Job) -> None:
    with job.component("whole"):
        write(job)


def name_it(job: Job) -> None:
    job.log.info(f"writing {job.config['BAQUP_SECRET_TOKEN'].reveal()}")
    write(job, f"dump-{job.config['BAQUP_SECRET_TOKEN'].reveal()}.bin")


def arguments(job: Job) -> None:
    password = job.config["BAQUP_SECRET_PASSWORD"].reveal()
    job.log.info(f"starting it with {password}")
    job.run(["true", password])


def child(job: Job) -> None:
    job.run(
        ["sh", "-c", 'echo "refused: $P" >&2; exit 3'],
        env={"P": job.config["BAQUP_SECRET_PASSWORD"].reveal()},
    )


def retry(job: Job) -> None:
    def connect() -> None:
        raise ConnectionRefusedError(111, job.config["BAQUP_SECRET_PASSWORD"].reveal())

    job.retry(connect)


def leave(job: Job) -> None:
    sys.exit(job.config["BAQUP_SECRET_PASSWORD"].reveal())


def print_by_itself(job: Job) -> None:
    """A library that prints its errors to stderr by a handler of its own."""
    library = logging.getLogger("printing")
    library.addHandler(logging.StreamHandler())
    library.error(job.config["BAQUP_SECRET_PASSWORD"].reveal())
    raise errors.DataError("printed")


def wait(job: Job) -> None:
    while True:
        job.cancellation.sleep(0.01)


def deaf(job: Job) -> None:
    job.log.info("act begun")
    time.sleep(FOREVER_S)


def spawn(job: Job) -> None:
    """What children find in their environment ends up in the log and in the error."""
    ours = subprocess.run(["env"], capture_output=True, check=True, text=True).stdout
    theirs = job.run(["env"]).stdout.decode()
    if "BAQUP_SECRET_" in theirs:
        sys.exit("the environment of children holds a secret")
    job.log.info("environment of children", lines=[*ours.splitlines(), *theirs.splitlines()])
    raise errors.SourceUnavailable(ours)


def raising(make: Callable[[str], BaseException]) -> Callable[[Job], None]:
    def end(job: Job) -> None:
        raise make(job.config["BAQUP_SECRET_PASSWORD"].reveal())

    return end


ENDS: dict[str, Callable[[Job], None]] = {
    "succeed": succeed,
    "fail": fail,
    "name": name_it,
    "arguments": arguments,
    "child": child,
    "retry": retry,
    "exit": leave,
    "print": print_by_itself,
    "wait": wait,
    "deaf": deaf,
    "spawn": spawn,
    "data": raising(lambda text: errors.DataError(text, suggestions=[f"not {text}"])),
    "config": raising(lambda text: errors.ConfigError(text, f"x {text}")),
    "output": raising(lambda text: OSError(28, text, f"/x/{text}")),
    "key": raising(KeyError),
}


class Blabber(Agent):
    """Tells everything it knows."""

    name = "agent-blabber"
    version = "1.0.0"

    def snapshot(self, job: Job) -> None:
        if "BAQUP_SOURCE_QUIET" not in job.config:
            tell_everything(job)
        ENDS[job.config["BAQUP_SOURCE_END"]](job)


if __name__ == "__main__":
    Blabber.main()
