"""Reads a bus: what agents say, typed, in order, each message once (Contract §3).

For one job::

    with BusReader("redis://localhost:6379/0", job_id=job_id) as reader:
        for message in reader.follow(until=lambda one: one.kind == "status"):
            print(message)

or for all jobs, as a controller's main loop::

    with BusReader(url) as reader:
        while True:
            for message in reader.poll(timeout_s=1.0):
                handle(message)
            look_after_agents()

What a reader promises, on a Redis bus as on a file bus:

* The events of a job come in the order of its stream, each once: after a lost connection, a
  restarted server, a stream that was trimmed, or one that expired and was made anew.
* Of heartbeat, progress and status the latest is told, never an older one after it; of those that
  follow each other quickly while the bus is away, only the last may be seen.
* Events and the rest are merged by their timestamps, per job.
* A notification is a hint that makes things quick. One that is missed costs seconds.
* What is no message, or breaks the contract, is counted, told once by `BusReader.notes`, and read
  past. Nothing that others write to a bus raises here.
* A bus that is away makes `BusReader.seeing` false; the reader goes on trying.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Protocol, Self

from baqup_agent.bus.url import FileUrl, parse_bus_url
from baqup_agent.controller.messages import BusMessage
from baqup_agent.errors import BusRefused
from baqup_agent.security.secret import Secret

#: Seconds between looks at a source that cannot wake its reader.
_LOOK_S = 0.1


class Source(Protocol):
    """One kind of bus, read; used from one thread.

    Attributes:
        unreadable: how many things on the bus were no messages, or had flaws.
        seeing: whether the bus can be read at present.
        trouble: why it cannot, as one line; None while it can.
        refusal: why it never will with this configuration, if that showed before it was read once.
    """

    @property
    def unreadable(self) -> int: ...  # noqa: D102  described above

    @property
    def seeing(self) -> bool: ...  # noqa: D102  described above

    @property
    def trouble(self) -> str | None: ...  # noqa: D102  described above

    @property
    def refusal(self) -> BusRefused | None: ...  # noqa: D102  described above

    def start(self) -> None:
        """Begin to read."""

    def poll(self, timeout_s: float) -> list[BusMessage]:
        """Return what is new; wait for something for at most ``timeout_s`` seconds."""
        ...

    def finish(self) -> Iterator[BusMessage]:
        """Yield all that the bus holds by now and was not told before."""
        ...

    def close(self) -> None:
        """Let go of threads and connections; may be called from any thread."""

    def notes(self) -> list[str]:
        """Return what went wrong since last asked."""
        ...


class BusReader:
    """Reads the messages of one job or of all.

    Args:
        url: the bus, in any form that ``BAQUP_BUS_URL`` may have.
        key_prefix: what every key begins with (``BAQUP_BUS_KEY_PREFIX``).
        job_id: the job to read; None reads all.
        only_new: leave out what was on the bus before `start`, as an earlier attempt's at the job.
            On a Redis bus that is told by timestamps, so it suits an agent on this very machine.
        password: that of ``BAQUP_SECRET_BUS_PASSWORD``, for a URL that names none.

    Raises:
        BusRefused: the URL is malformed.
    """

    def __init__(
        self,
        url: str | Secret,
        *,
        key_prefix: str = "baqup:",
        job_id: str | None = None,
        only_new: bool = False,
        password: str | Secret | None = None,
    ) -> None:
        if isinstance(password, str):
            password = Secret(password)
        self._url = parse_bus_url(url, password)
        self._source = self._open(key_prefix, job_id, only_new=only_new)
        self._ahead: deque[BusMessage] = deque()
        self._closed = threading.Event()

    def _open(self, key_prefix: str, job_id: str | None, *, only_new: bool) -> Source:
        if isinstance(self._url, FileUrl):
            from baqup_agent.controller.reader_file import FileSource

            return FileSource(self._url.directory, job_id, only_new=only_new)
        from baqup_agent.controller.reader_redis import RedisSource

        return RedisSource(self._url, key_prefix, job_id, only_new=only_new)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def display(self) -> str:
        """The bus, without credentials."""
        return self._url.display

    @property
    def unreadable(self) -> int:
        """How many things on the bus were no messages, or had members that break the contract."""
        return self._source.unreadable

    @property
    def seeing(self) -> bool:
        """Whether the bus can be read at present; while it cannot, silence says nothing."""
        return self._source.seeing

    @property
    def trouble(self) -> str | None:
        """Why the bus cannot be read at present, as one line; None while nothing is known."""
        return self._source.trouble

    @property
    def refusal(self) -> BusRefused | None:
        """Why the bus never will be read with this configuration, as far as that is known.

        Once it was read, a refusal counts as an outage, as it does for agents.
        """
        return self._source.refusal

    def start(self) -> None:
        """Begin to read; returns once the bus was read for the first time, or cannot be soon."""
        self._source.start()

    def poll(self, timeout_s: float = 0.0) -> list[BusMessage]:
        """Return what is new.

        Args:
            timeout_s: if nothing is, wait for something so many seconds.
        """
        if self._ahead:
            found, self._ahead = list(self._ahead), deque()
            return found
        deadline_s = time.monotonic() + timeout_s
        while True:
            left_s = deadline_s - time.monotonic()
            found = self._source.poll(max(0.0, left_s))
            if found or left_s <= 0 or self._closed.wait(min(left_s, _LOOK_S)):
                return found

    def follow(
        self,
        *,
        until: Callable[[BusMessage], bool] | None = None,
        timeout_s: float | None = None,
    ) -> Iterator[BusMessage]:
        """Yield messages as they come.

        Args:
            until: the first message of which this is true is the last one; what came after it
                is for the next call of `poll` or `follow`.
            timeout_s: end after so many seconds in any case.
        """
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._closed.is_set():
            left_s = 1.0 if deadline_s is None else deadline_s - time.monotonic()
            if left_s <= 0:
                return
            found = self.poll(min(left_s, 1.0))  # which empties what was ahead
            self._ahead.extend(found)
            while self._ahead:
                message = self._ahead.popleft()
                yield message
                if until is not None and until(message):
                    return

    def finish(self) -> Iterator[BusMessage]:
        """Yield all that the bus holds by now and was not told before; the reading ends."""
        yield from self.poll()
        yield from self._source.finish()

    def notes(self) -> list[str]:
        """Return what went wrong with the reading since last asked, one line each."""
        return self._source.notes()

    def close(self) -> None:
        """Stop reading; may be called from any thread, and more than once."""
        self._closed.set()
        self._source.close()
