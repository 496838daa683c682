"""A connection to a server: a few commands, then a stream of bytes.

It waits in small steps, so that the job's cancellation is heard while the server is silent.
"""

from __future__ import annotations

import socket
import ssl
import time
from typing import TYPE_CHECKING, Any, Self

from baqup_agent import Secret
from baqup_agent.agents.redis.refusals import refusal
from baqup_agent.agents.redis.settings import Source
from baqup_agent.errors import ConfigError, DataError, SourceUnavailable

if TYPE_CHECKING:
    from baqup_agent import Job

#: Seconds until an attempt at a connection is given up.
CONNECT_TIMEOUT_S = 10.0

#: Seconds between two looks whether the job must stop.
_LOOK_S = 0.1

_RECEIVE_BYTES = 1 << 18

#: The longest line that a server's answer may have, and the largest bulk string.
_MOST_LINE_BYTES, _MOST_BULK_BYTES = 1 << 16, 1 << 24


class Refused(Exception):
    """The server answered a command with an error; its text is the server's."""


class Connection:
    """An open connection; a context manager.

    Args:
        job: is listened to while waiting.
        sock: the connected socket.
        address: where to, for messages.
        timeout_s: longest silence of the server, seconds.
    """

    def __init__(self, job: Job[Any], sock: socket.socket, address: str, timeout_s: float) -> None:
        self._job = job
        self._socket = sock
        self._address = address
        self._timeout_s = timeout_s
        self._waiting = b""
        sock.settimeout(_LOOK_S)

    @classmethod
    def open(cls, job: Job[Any], source: Source) -> Self:
        """Connect, with the configured attempts.

        Raises:
            SourceUnavailable: nobody answers.
            ConfigError: the two do not agree on TLS.
        """
        address = f"{source.host}:{source.port}"
        context = _tls(source) if source.tls else None

        def connect() -> socket.socket:
            plain = socket.create_connection((source.host, source.port), CONNECT_TIMEOUT_S)
            if context is None:
                return plain
            try:
                return context.wrap_socket(plain, server_hostname=source.host)
            except ssl.SSLError as error:
                plain.close()
                raise ConfigError(
                    f"{address} and the agent do not agree on TLS: {error.reason}; check "
                    "BAQUP_SOURCE_TLS, BAQUP_SOURCE_TLS_CA and the server's certificate"
                ) from error
            except BaseException:
                plain.close()
                raise

        try:
            connected = job.retry(connect)
        except SourceUnavailable as error:
            raise _unreachable(address, error.message, error.attempts) from error
        return cls(job, connected, address, source.timeout.total_seconds())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, *words: str | Secret) -> str:
        """Send a command and return the server's answer, a line or a text.

        Raises:
            Refused: it is an error.
            SourceUnavailable: the server is silent or gone.
            DataError: it is no answer of a server.
        """
        self.send(*words)
        return self.answer()

    def send(self, *words: str | Secret) -> None:
        """Send a command.

        Raises:
            SourceUnavailable: the server is gone.
        """
        raw = [
            (word.reveal() if isinstance(word, Secret) else word).encode("utf-8", "surrogateescape")
            for word in words
        ]
        parts = [b"*%d\r\n" % len(raw), *(b"$%d\r\n%s\r\n" % (len(word), word) for word in raw)]
        try:
            self._socket.sendall(b"".join(parts))
        except OSError as error:
            raise self._gone(str(error)) from error

    def answer(self) -> str:
        """Return the next answer; see `ask`."""
        line = self.line()
        kind, rest = line[:1], line[1:]
        if kind == b"-":
            raise Refused(rest.decode("utf-8", "replace"))
        if kind in {b"+", b":"}:
            return rest.decode("utf-8", "replace")
        if kind == b"$" and rest.isdigit() and int(rest) <= _MOST_BULK_BYTES:
            return self._exactly(int(rest) + 2)[:-2].decode("utf-8", "replace")
        raise DataError(
            f"{self._address} answers {line[:40]!r}, which is no answer of a Redis server; "
            "check BAQUP_SOURCE_HOST, BAQUP_SOURCE_PORT and BAQUP_SOURCE_TLS"
        )

    def line(self, deadline_s: float | None = None) -> bytes:
        """Return the next line, keep-alives left out.

        Args:
            deadline_s: until when there may be keep-alives only; None for no such limit.
        """
        while True:
            end = self._waiting.find(b"\n")
            if end < 0:
                if len(self._waiting) > _MOST_LINE_BYTES:
                    raise DataError(f"{self._address} is no Redis server: it sends endless lines")
                self._waiting += self._receive()
                continue
            line, self._waiting = self._waiting[:end], self._waiting[end + 1 :]
            if stripped := line.rstrip(b"\r"):
                return stripped
            self._job.touch()  # the server says that it is at it
            if deadline_s is not None and time.monotonic() > deadline_s:
                raise SourceUnavailable(
                    f"{self._address} did not begin to send in time; raise BAQUP_SOURCE_PATIENCE, "
                    "or see in the server's log what keeps it"
                )

    def piece(self, most_bytes: int | None = None) -> bytes:
        """Return some bytes of the stream, at least one.

        Raises:
            SourceUnavailable: the server is silent or gone.
        """
        data = self._waiting or self._receive()
        self._waiting = b""
        if most_bytes is not None and len(data) > most_bytes:
            data, self._waiting = data[:most_bytes], data[most_bytes:]
        return data

    def login(self, user: Secret | None, password: Secret | None) -> None:
        """Authenticate, if there is anything to do it with, and see that the server talks to us.

        Raises:
            BaqupError: it does not.
        """
        try:
            if password is not None:
                self.ask("AUTH", *((user,) if user is not None else ()), password)
            self.ask("PING")
        except Refused as error:
            if not str(error).startswith(("LOADING", "MASTERDOWN", "BUSY")):
                raise refusal(self._address, str(error)) from error

    def _exactly(self, size: int) -> bytes:
        while len(self._waiting) < size:
            self._waiting += self._receive()
        data, self._waiting = self._waiting[:size], self._waiting[size:]
        return data

    def _receive(self) -> bytes:
        silent_until_s = time.monotonic() + self._timeout_s
        while True:
            self._job.cancellation.check()
            try:
                data = self._socket.recv(_RECEIVE_BYTES)
            except TimeoutError:
                if time.monotonic() > silent_until_s:
                    raise self._gone(f"silent for {self._timeout_s:g} s") from None
                continue
            except OSError as error:
                raise self._gone(str(error)) from error
            if not data:
                raise self._gone("it closed the connection")
            return data

    def _gone(self, reason: str) -> SourceUnavailable:
        return SourceUnavailable(
            f"the server {self._address} is gone: {reason}; see its log, and try again",
            code="CONNECTION_LOST",
        )


def _unreachable(address: str, reason: str, attempts: Any) -> SourceUnavailable:
    return SourceUnavailable(
        f"the server {address} cannot be reached: {reason}; check BAQUP_SOURCE_HOST and "
        "BAQUP_SOURCE_PORT, and that it is up",
        attempts=attempts,
    )


def _tls(source: Source) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=source.tls_ca)
        if source.tls_cert is not None:
            context.load_cert_chain(source.tls_cert, source.tls_key)
    except OSError as error:
        raise ConfigError(
            f"the certificates of BAQUP_SOURCE_TLS_* cannot be used: {error}; name PEM files"
        ) from error
    return context
