"""The thread that talks to the bus, so that nothing the bus does can hold up the job (§3).

Whoever publishes only adds to a queue. The publisher connects, sends one message at a time, and
takes a message off the queue once the bus confirmed it. When the bus goes away it tries again
with growing pauses for as long as the process lives; a flush cuts a pause short.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from baqup_agent.bus.backoff import Backoff
from baqup_agent.bus.messages import Message, Status
from baqup_agent.bus.outage import BusUnavailable, Outage
from baqup_agent.bus.pending import Cell, PendingMessages
from baqup_agent.bus.ticks import TICK_S, Ticks
from baqup_agent.bus.transport import Transport
from baqup_agent.clock import Clock, SystemClock
from baqup_agent.errors import BusRefused, describe
from baqup_agent.observability.sink import LogSink

#: Longest pause between attempts while somebody waits in `Publisher.flush`, seconds.
FLUSH_PAUSE_S = 0.5

#: Longest time, in seconds, that `Publisher.close` and the end of `Publisher.flush` give a send
#: that is under way: a test of the connection, the write, and its repetition as a whole script.
SEND_BOUND_S = 3.5


class Publisher:
    """Sends messages from its own thread.

    Args:
        transport: the way to the bus; only the publisher's thread uses it.
        backoff: pauses between attempts.
        log: told once when the bus goes, once when it is back.
        pending: the queue.
        clock: measures time.
    """

    def __init__(
        self,
        transport: Transport,
        backoff: Backoff,
        log: LogSink,
        *,
        pending: PendingMessages | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._transport = transport
        self._backoff = backoff
        self._log = log
        self._pending = pending or PendingMessages()
        self._clock = clock or SystemClock()
        self._ticks = Ticks(log, self._clock)
        self._ticks.add(self._tell_drops)
        self._thread: threading.Thread | None = None

        # One lock, and two reasons to wait on it: for work, and for what became of it.
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._done = threading.Condition(self._lock)
        self._in_flight: Cell | None = None
        self._asleep = False
        self._attempted = False
        self._connected = False
        self._refused: BusRefused | None = None
        self._flushing = 0
        self._nudged = False
        self._closing = False
        self._status_lost = False
        self._sent = 0
        self._rejected = 0

        # The publisher's thread alone uses these.
        self._outage = Outage(transport.display, log, self._clock)
        self._drops_told = False

    @property
    def sent(self) -> int:
        """How many messages the bus confirmed."""
        return self._sent

    @property
    def dropped(self) -> int:
        """How many messages were given up: no room, or not acceptable to the bus."""
        return self._pending.dropped + self._rejected

    def on_tick(self, tick: Callable[[], None]) -> None:
        """Have ``tick`` called about once a second in the publisher's thread."""
        self._ticks.add(tick)

    def start(self) -> None:
        """Start the thread, which begins to connect; harmless when repeated."""
        with self._lock:
            if self._thread is None and not self._closing:
                self._thread = threading.Thread(target=self._run, name="baqup-bus", daemon=True)
                self._thread.start()

    def publish(self, message: Message) -> None:
        """Queue a message and return at once; after `close` it is given up and counted."""
        if self._thread is None:
            self.start()
        with self._lock:
            if self._closing:
                self._rejected += 1
                return
            if self._pending.put(message) and self._asleep:
                self._work.notify()

    def wait_connected(self, timeout_s: float) -> bool:
        """Wait for the outcome of the first attempt to connect.

        Returns:
            True once the bus was reached; False if it is out of reach, or ``timeout_s`` passed.

        Raises:
            BusRefused: the first attempt was refused.
        """
        self.start()
        with self._lock:
            self._done.wait_for(lambda: self._attempted or self._closing, timeout_s)
            if self._refused is not None:
                raise self._refused
            return self._connected

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything published so far has arrived, hurrying the thread along.

        A send that is under way when ``timeout_s`` (seconds) is over is waited for, at most
        `SEND_BOUND_S`, so that the answer is the truth. After `close`, ``flush(0)`` tells how it
        ended.

        Returns:
            Whether everything arrived. False for good once the bus rejected a status. A message
            that a newer one of its kind replaced counts as arrived, and so does an event that
            there was no room for (see `dropped`).
        """
        with self._lock:
            target = self._pending.last_ticket
            self._flushing += 1
            self._nudged = True
            self._work.notify()
            try:
                if not self._done.wait_for(lambda: self._settled(target), timeout_s):
                    self._done.wait_for(lambda: not self._sending(target), SEND_BOUND_S)
            finally:
                self._flushing -= 1
            return not self._status_lost and not self._pending.holds_up_to(target)

    def close(self) -> None:
        """Stop the thread; nothing is sent afterwards. Harmless when repeated."""
        with self._lock:
            self._closing = True
            self._work.notify_all()
            self._done.notify_all()
            thread = self._thread
        if thread is None or thread is threading.current_thread():
            return
        thread.join(SEND_BOUND_S)
        if thread.is_alive():
            self._log.warn("the bus did not let go in time", bus=self._transport.display)

    def _settled(self, target: int) -> bool:
        return self._closing or not self._pending.holds_up_to(target)

    def _sending(self, target: int) -> bool:
        return self._in_flight is not None and self._in_flight.ticket <= target

    # From here on: the publisher's thread.

    def _run(self) -> None:
        try:
            while not self._closing:
                if self._connect():
                    self._send_all()
        finally:
            self._transport.close()

    def _connect(self) -> bool:
        try:
            self._transport.connect()
        except (BusUnavailable, BusRefused) as error:
            self._fail(error)
            return False
        except Exception as error:  # noqa: BLE001  no fault of a transport may end the thread
            self._fail(BusUnavailable(describe(error)))
            return False
        with self._lock:
            self._attempted = self._connected = True
            self._done.notify_all()
        return True

    def _send_all(self) -> None:
        """Send until the bus fails or the publisher is closed."""
        while (cell := self._next()) is not None:
            failure = self._send(cell)
            with self._lock:
                self._in_flight = None
                if failure is None:
                    self._pending.settle(cell)
                self._done.notify_all()
            if failure is not None:
                self._fail(failure)
                return
            self._outage.over(self.dropped)

    def _next(self) -> Cell | None:
        """Wait for a message that is due; None once the publisher is closed."""
        while True:
            self._ticks.run()
            with self._lock:
                if self._closing:
                    return None
                self._nudged = False
                self._in_flight = self._pending.head()
                if self._in_flight is not None:
                    return self._in_flight
            self._outage.over(self.dropped)
            self._sleep()

    def _send(self, cell: Cell) -> BusUnavailable | BusRefused | None:
        try:
            self._transport.send(cell.message.to_wire())
        except (BusUnavailable, BusRefused) as error:
            return error
        except Exception as error:  # noqa: BLE001  one bad message must not hold up the others
            self._reject(cell.message, error)
        else:
            self._sent += 1
        return None

    def _reject(self, message: Message, error: Exception) -> None:
        with self._lock:
            self._rejected += 1
            self._status_lost = self._status_lost or isinstance(message, Status)
        self._log.error(
            "the bus will not take a message; it is given up",
            kind=message.kind,
            seq=message.stamp.seq,
            reason=describe(error),
        )

    def _fail(self, error: BusUnavailable | BusRefused) -> None:
        """Note a failure, tell of it if it is the first, and pause."""
        with self._lock:
            if not self._attempted and isinstance(error, BusRefused):
                self._refused = error
            self._attempted = True
            self._connected = False
            self._done.notify_all()
        self._outage.failed(error)
        self._pause(self._backoff.pause_s(self._outage.failures))

    def _sleep(self) -> None:
        with self._lock:
            if self._pending.head() is None and not self._closing:
                self._asleep = True
                self._work.wait(TICK_S)
                self._asleep = False

    def _pause(self, pause_s: float) -> None:
        start_s = self._clock.monotonic()
        while True:
            self._ticks.run()
            with self._lock:
                if self._closing or self._nudged:
                    self._nudged = False
                    return
                limit_s = min(pause_s, FLUSH_PAUSE_S) if self._flushing else pause_s
                left_s = start_s + limit_s - self._clock.monotonic()
                if left_s <= 0:
                    return
                self._work.wait(min(left_s, TICK_S))

    def _tell_drops(self) -> None:
        if self._pending.dropped and not self._drops_told:
            self._drops_told = True
            self._log.warn("too many events wait for the bus; the least grave are given up")
