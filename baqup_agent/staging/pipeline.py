"""The threads behind a writer, and what goes to and fro between them (Contract §4).

The caller fills buffers, one thread compresses them, another encrypts, hashes and writes. Each of
the two is a `Stage`. The compressor's own threads have no queue: one that is done idles until it is
called again, so whoever calls it must not be kept by hashing and writing.

What a stage takes comes with one of a few tokens, which its thread gives back when it is done: for
the first stage the token is the buffer itself. So however slow the disk is, no more than there are
tokens is held in memory.

A thread's last word is a None where others wait for a token, whatever ended it; and whoever waits
looks up from time to time. So neither side can wait for the other in vain.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

from baqup_agent.errors import InternalError, SourceUnavailable

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

T = TypeVar("T")

#: Bytes of a buffer.
BUFFER_BYTES = 1 << 20

#: Buffers of one pipeline, that in the caller's hands included.
BUFFERS = 4

#: Pieces that are compressed and wait to be stored, that in the works included.
PIECES = 3

#: Seconds after which one who waits for a token looks whether the job must stop.
_LOOK_S = 0.2

#: Longest wait for a thread that was told to stop, seconds: as long as it may take to compress one
#: buffer at the highest level. One that hangs in the disk is left to itself.
_PATIENCE_S = 5.0


def _nothing() -> None:
    """Release nothing."""


class Stage(Generic[T]):
    """A thread that takes pieces.

    Args:
        make: makes a token.
        most: how many tokens there are.
        take: called in the thread with each piece, which is its own to read until it returns.
        finish: called in the thread after the last piece.
        check: called while somebody waits for a token; raises to give up.
        release: called in the thread when it was aborted, at its very end.

    Attributes:
        failure: what ended the thread early; None as long as nothing did.
        aborted: whether it was told to stop.
    """

    def __init__(
        self,
        make: Callable[[], T],
        most: int,
        take: Callable[[ReadableBuffer], None],
        finish: Callable[[], None],
        check: Callable[[], None],
        release: Callable[[], None] = _nothing,
    ) -> None:
        self.failure: BaseException | None = None
        self.aborted = False
        self._make = make
        self._left = most
        self._take = take
        self._finish = finish
        self._check = check
        self._release = release
        self._free: SimpleQueue[T | None] = SimpleQueue()
        self._pieces: SimpleQueue[tuple[T, ReadableBuffer] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="artifact", daemon=True)

    def start(self) -> None:
        """Start the thread.

        Raises:
            SourceUnavailable: the system has none to give.
        """
        try:
            self._thread.start()
        except RuntimeError as error:
            raise SourceUnavailable(
                f"no thread can be started to write an artifact: {error}; "
                "raise the limit on processes, or run fewer at a time"
            ) from error

    def token(self) -> T:
        """Return a token; wait until there is one.

        Raises:
            BaseException: what ended the thread, or what the check raised.
        """
        if self._left and self._free.empty():
            self._left -= 1
            return self._make()
        token = self._next_free()
        if token is None:
            self._free.put(None)  # whoever asks again shall hear it too
            raise self.failure or _given_up()
        return token

    def put(self, token: T, piece: ReadableBuffer) -> None:
        """Hand over a piece."""
        self._pieces.put((token, piece))

    def complete(self) -> None:
        """Have the thread finish, and wait until it did.

        Raises:
            BaseException: what ended the thread early, or what the check raised.
            InternalError: it was told to stop, so that not all was taken.
        """
        self._pieces.put(None)
        while self._next_free() is not None:
            pass
        self._thread.join()
        if self.failure is not None:
            raise self.failure
        if self.aborted:
            raise _given_up()

    def abort(self) -> None:
        """Tell the thread to stop."""
        self.aborted = True
        self._pieces.put(None)

    def ended(self) -> bool:
        """Return whether it stopped, after waiting for it for a bounded time."""
        if self._thread.ident is not None:
            self._thread.join(_PATIENCE_S)
        return not self._thread.is_alive()

    def _next_free(self) -> T | None:
        while True:
            try:
                return self._free.get(timeout=_LOOK_S)
            except Empty:
                self._check()

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001  it is raised where others wait for it
            self.failure = error
        finally:
            if self.aborted:
                self._release()
            self._free.put(None)

    def _work(self) -> None:
        while (handed := self._pieces.get()) is not None and not self.aborted:
            token, piece = handed
            self._take(piece)
            del handed, piece
            self._free.put(token)
        if not self.aborted:
            self._finish()


class Pipeline:
    """Two stages in a row, of which the first can be left out.

    Args:
        encode: compresses a piece and returns what is ready to be stored; None to store pieces as
            they are, in one thread.
        flush: returns the rest, after the last piece.
        store: stores a piece.
        finish: called after the last piece was stored.
        release: called by the thread that stores when it was aborted, at its very end.
        check: called while the caller waits; raises when the job must stop.
    """

    def __init__(
        self,
        encode: Callable[[ReadableBuffer], ReadableBuffer] | None,
        flush: Callable[[], ReadableBuffer],
        store: Callable[[ReadableBuffer], None],
        finish: Callable[[], None],
        *,
        release: Callable[[], None],
        check: Callable[[], None],
    ) -> None:
        self._first: Stage[bytearray]
        self._stages: list[Stage[bytearray] | Stage[object]]
        # The caller fills a first buffer before it knows that it needs threads.
        if encode is None:
            self._first = Stage(_buffer, BUFFERS - 1, store, finish, check, release)
            self._stages = [self._first]
        else:
            last = Stage(object, PIECES, store, finish, self._require_wanted, release)
            self._encode, self._flush, self._last = encode, flush, last
            self._first = Stage(_buffer, BUFFERS - 1, self._hand_on, self._hand_on_the_rest, check)
            self._stages = [last, self._first]

    @property
    def failure(self) -> BaseException | None:
        """What ended a thread early; None as long as nothing did."""
        return next((stage.failure for stage in self._stages if stage.failure is not None), None)

    def start(self) -> None:
        """Start the threads.

        Raises:
            SourceUnavailable: the system has none to give.
        """
        for stage in self._stages:
            stage.start()

    def put(self, buffer: bytearray, size: int) -> None:
        """Hand over a buffer of which the first ``size`` bytes are filled."""
        self._first.put(buffer, memoryview(buffer)[:size])

    def buffer(self) -> bytearray:
        """Return a buffer to fill; wait until there is one.

        Raises:
            BaseException: what ended a thread, or what the check raised.
        """
        return self._first.token()

    def complete(self) -> None:
        """Have the threads finish, and wait until they did.

        Raises:
            BaseException: what ended a thread early, or what the check raised.
        """
        self._first.complete()

    def abort(self) -> bool:
        """Have the threads stop; return whether they did so within a bounded time.

        If not, ``release`` will be called when they do.
        """
        for stage in self._stages:
            stage.abort()
        return all(stage.ended() for stage in self._stages)

    def _hand_on(self, piece: ReadableBuffer) -> None:
        encoded = self._encode(piece)
        if encoded:
            self._last.put(self._last.token(), encoded)

    def _hand_on_the_rest(self) -> None:
        self._last.put(self._last.token(), self._flush())
        self._last.complete()

    def _require_wanted(self) -> None:
        if self._first.aborted:
            raise _given_up()


def _given_up() -> InternalError:
    return InternalError("this artifact was given up; write no more to it")


def _buffer() -> bytearray:
    return bytearray(BUFFER_BYTES)
