"""What redaction costs: ``python -m tests.benchmarks.bench_redaction [ROUNDS]``.

For ten secrets of each kind, a log line of a kilobyte that holds none of them, in microseconds, as
the best and the median of the rounds:

* `Redactor.text` and `Redactor.contains`, as the bus and the log use them;
* the same by one regular expression of all forms, which is the obvious way;
* and a whole log line of ours through `Logger`, with and without secrets known.

The goal is 10 microseconds for `Redactor.text`.
"""

from __future__ import annotations

import io
import random
import re
import statistics
import string
import sys
import timeit
from collections.abc import Callable

from baqup_agent import Logger, Secret
from baqup_agent.observability.redaction import Redactor

#: Secrets that are known.
_SECRETS = 10

#: Calls in one round.
_CALLS = 500

#: Bytes of the line.
_LINE_BYTES = 1024

#: Microseconds that are the goal.
_GOAL_US = 10

_LINE = (
    '{"timestamp":"2026-01-15T03:00:00.071340Z","level":"info","job_id":"3f2c8a4e-9d1b-4c77-8f0e",'
    '"component":"staging","message":"artifacts published","context":{"path":"/srv/staging/data",'
    '"artifacts":3,"bytes":123456789,"state":"completing"}} '
)


def line() -> str:
    """A text as it stands in a log, of the length that the goal speaks of."""
    return (_LINE * (_LINE_BYTES // len(_LINE) + 1))[:_LINE_BYTES]


def kinds() -> dict[str, list[str]]:
    """Ten secrets of each kind."""
    chance = random.Random(1)

    def some(alphabet: str, length: int) -> list[str]:
        return ["".join(chance.choices(alphabet, k=length)) for _ in range(_SECRETS)]

    letters = string.ascii_letters + string.digits
    return {
        "passwords of 8": some(letters, 8),
        "passwords of 12": some(letters + "!$%&/()=?+*#", 12),
        "tokens of 32": some(string.hexdigits[:16], 32),
        "keys of 64": some(letters + "+/", 64),
        "words": ["postgres", "backup", "shop", "root", "admin", "wiki", "s3user", "minio",
                  "replica", "monitor"],
    }  # fmt: skip


def told(name: str, act: Callable[[], object], rounds: int) -> float:
    """Measure and print one figure; returns the best, microseconds."""
    taken = [us / _CALLS * 1e6 for us in timeit.repeat(act, number=_CALLS, repeat=rounds)]
    best = min(taken)
    print(f"    {name:<34} {best:7.1f} best {statistics.median(taken):7.1f} median")
    return best


def logging(redactor: Redactor) -> Callable[[], object]:
    """One line of the log, as an author writes it."""
    log = Logger("3f2c8a4e-9d1b-4c77-8f0e-2b6a51d0c9e4", "agent-fs-1", redactor=redactor)
    log._stream = io.StringIO()
    numbers = iter(range(10**9))
    # Another component each time, or the line would only be counted.
    return lambda: log.log_from(f"c{next(numbers)}", log.level, "moved", {"path": "/srv/x", "n": 3})


def main() -> None:
    """Print the figures, and whether the goal is met for each kind."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    text = line()
    print(f"{_SECRETS} secrets, a line of {len(text)} bytes, microseconds")
    for kind, secrets in kinds().items():
        redactor = Redactor(map(Secret, secrets))
        naive = re.compile("|".join(map(re.escape, sorted(redactor.forms, key=len, reverse=True))))
        print(f"  {kind}: {len(redactor.forms)} forms")
        assert redactor.text(text) == naive.sub("[REDACTED]", text)
        best = told("text", lambda r=redactor: r.text(text), rounds)
        told("contains", lambda r=redactor: r.contains(text), rounds)
        told("one regular expression", lambda n=naive: n.sub("", text), rounds)
        print(f"    {'met' if best <= _GOAL_US else 'MISSED'}: the goal is {_GOAL_US}")
    told("a log line, no secrets", logging(Redactor()), rounds)
    told("a log line, ten secrets", logging(Redactor(map(Secret, kinds()["tokens of 32"]))), rounds)


if __name__ == "__main__":
    main()
