"""Fetching a server's content as its replicas do.

The server answers ``PSYNC ? -1`` with ``+FULLRESYNC …``, forks, and meanwhile sends a newline each
second. Then comes the RDB in one of two forms: ``$LENGTH`` from its disk, or ``$EOF:MARK`` straight
from the fork, followed by the forty bytes of the mark. Servers that know ``rdb-only`` do not even
keep the writes that follow.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from baqup_agent.agents.redis.refusals import refusal
from baqup_agent.agents.redis.wire import Connection, Refused
from baqup_agent.errors import DataError

if TYPE_CHECKING:
    from baqup_agent import Job

_MARK_BYTES = 40

#: Seconds between two attempts while the server is not ready.
_PAUSE_S = 0.5

#: Answers that say: not now.
_NOT_NOW = ("LOADING", "NOMASTERLINK", "MASTERDOWN", "BUSY", "TRYAGAIN")


class Replication:
    """One snapshot by replication.

    Args:
        job: is listened to while waiting.
        connection: a connection that was logged in.
        address: where to, for messages.
        patience_s: longest wait until the RDB begins, seconds.

    Attributes:
        expected_bytes: how long the RDB is; None where the server does not know beforehand.
    """

    def __init__(
        self, job: Job[Any], connection: Connection, address: str, patience_s: float
    ) -> None:
        self.expected_bytes: int | None = None
        self._job = job
        self._connection = connection
        self._address = address
        self._deadline_s = time.monotonic() + patience_s
        self._mark = b""

    def begin(self) -> None:
        """Ask for the content, and wait until it begins.

        Raises:
            BaqupError: the server refuses, or does not begin in time.
        """
        for option in (("rdb-only", "1"), ("capa", "eof")):
            self._offer(*option)
        while not self._asked("PSYNC", "?", "-1"):
            self._job.touch()
            self._job.cancellation.sleep(_PAUSE_S)

    def pieces(self) -> Iterator[bytes]:
        """Yield the RDB.

        Raises:
            SourceUnavailable: it ends too early.
        """
        return self._until_mark() if self.expected_bytes is None else self._by_length()

    def _offer(self, *option: str) -> None:
        try:
            self._connection.ask("REPLCONF", *option)
        except Refused as error:
            if str(error).startswith(("NOAUTH", "NOPERM")):
                raise refusal(self._address, str(error)) from error
            # An older server does not know it, and does without.

    def _asked(self, *command: str) -> bool:
        """Send the command and read up to the RDB; False if the server is not ready yet."""
        self._connection.send(*command)
        line = self._connection.line(self._deadline_s)
        if line.startswith(b"+FULLRESYNC"):
            line = self._connection.line(self._deadline_s)
        if line.startswith(b"-"):
            return self._refused(line[1:].decode("utf-8", "replace"), command)
        if not line.startswith(b"$"):
            raise DataError(f"{self._address} answers {command[0]} by {line[:40]!r}")
        self._understand(line[1:])
        return True

    def _refused(self, said: str, command: tuple[str, ...]) -> bool:
        if said.startswith("ERR unknown command") and command[0] == "PSYNC":
            return self._asked("SYNC")
        if said.startswith(_NOT_NOW) and time.monotonic() < self._deadline_s:
            return False
        raise refusal(self._address, said)

    def _understand(self, form: bytes) -> None:
        if form.startswith(b"EOF:") and len(form) == len(b"EOF:") + _MARK_BYTES:
            self._mark = form[len(b"EOF:") :]
        elif form.isdigit():
            self.expected_bytes = int(form)
        else:
            raise DataError(f"{self._address} announces {form[:60]!r}, which is no RDB")

    def _by_length(self) -> Iterator[bytes]:
        missing = self.expected_bytes or 0
        while missing:
            piece = self._connection.piece(missing)
            missing -= len(piece)
            yield piece

    def _until_mark(self) -> Iterator[bytes]:
        """What has come last may be the mark, so so many bytes are kept back."""
        kept = b""
        while kept != self._mark:
            data = kept + self._connection.piece()
            kept = data[-_MARK_BYTES:]
            if piece := data[:-_MARK_BYTES]:
                yield piece
