"""The thread that talks to the bus, so that nothing the bus does can hold up the job (§3).

Events and statuses wait in the outbox, heartbeats and progress in memory; whoever publishes only
adds to one of them. The publisher connects, sends what waits, and lets go of what the bus has
confirmed. When the bus goes away it tries again with growing pauses for as long as the process
lives; a flush cuts a pause short.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from baqup_agent.bus.backlog import Backlog, Batch
from baqup_agent.bus.backoff import Backoff
from baqup_agent.bus.latest import LatestMessages, Waiting
from baqup_agent.bus.outage import BusUnavailable, Outage
from baqup_agent.bus.outbox import Outbox
from baqup_agent.bus.ticks import TICK_S, Ticks
from baqup_agent.bus.topology import Wire
from baqup_agent.bus.transport import Transport
from baqup_agent.clock import Clock, SystemClock
from baqup_agent.errors import BusRefused, describe
from baqup_agent.observability.sink import LogSink

#: Longest pause between attempts while somebody waits in `Publisher.flush`, seconds.
FLUSH_PAUSE_S = 0.5

#: Longest time, in seconds, that `Publisher.close` and the end of `Publisher.flush` give a send
#: that is under way: a test of the connection, the write, and its repetition as a whole script.
SEND_BOUND_S = 3.5

#: Least seconds between two syncs of the outbox while the bus is away.
SYNC_S = 0.5


def _do_nothing(_transport: Transport) -> None:
    """Look at nothing."""


class Publisher:
    """Sends messages from its own thread.

    Args:
        transport: the way to the bus; only the publisher's thread uses it.
        backoff: pauses between attempts.
        log: told once when the bus goes, once when it is back.
        outbox: where events and statuses wait; any thread may append, and calls `wake` then.
        orphans: returns outboxes that dead processes of the same job left behind, oldest first.
        on_connect: may look at the bus whenever it was reached; raises what a transport raises.
        clock: measures time.
    """

    def __init__(
        self,
        transport: Transport,
        backoff: Backoff,
        log: LogSink,
        *,
        outbox: Outbox,
        orphans: Callable[[], Iterable[Outbox]] = list,
        on_connect: Callable[[Transport], None] = _do_nothing,
        clock: Clock | None = None,
    ) -> None:
        self._transport = transport
        self._backoff = backoff
        self._log = log
        self._outbox = outbox
        self._on_connect = on_connect
        self._clock = clock or SystemClock()
        self._ticks = Ticks(log, self._clock)
        self._thread: threading.Thread | None = None

        # One lock, and two reasons to wait on it: for work, and for what became of it.
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._done = threading.Condition(self._lock)
        self._latest = LatestMessages()
        self._sending = False
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
        self._reconnected: list[Callable[[], None]] = []

        # The publisher's thread alone uses these.
        self._backlog = Backlog(outbox, orphans, log)
        self._outage = Outage(transport.display, log, self._clock)
        self._synced_s = float("-inf")
        self._made_wait = False

    @property
    def sent(self) -> int:
        """How many messages the bus confirmed."""
        return self._sent

    @property
    def rejected(self) -> int:
        """How many messages the bus would not take, or came after the end."""
        return self._rejected

    @property
    def caught_up(self) -> bool:
        """Whether the bus is there and nothing waits."""
        return self._connected and not self._outbox_holds

    def on_tick(self, tick: Callable[[], None]) -> None:
        """Have ``tick`` called about once a second in the publisher's thread."""
        self._ticks.add(tick)

    def on_reconnect(self, act: Callable[[], None]) -> None:
        """Have ``act`` called in the publisher's thread whenever an outage has ended.

        It makes a fresh heartbeat; those that waited during the outage are given up.
        """
        self._reconnected.append(act)

    def start(self) -> None:
        """Start the thread, which begins to connect; harmless when repeated."""
        with self._lock:
            if self._thread is None and not self._closing:
                thread = threading.Thread(target=self._run, name="baqup-bus", daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:  # no more threads; the next message tries again
                    self._log.error("the bus cannot be served now", reason=describe(error))
                else:
                    self._thread = thread

    def put(self, message: Wire) -> None:
        """Queue a heartbeat or progress and return at once; after `close` it is given up."""
        if self._thread is None:
            self.start()
        with self._lock:
            if self._closing:
                self._rejected += 1
                return
            self._latest.put(message)
            if self._asleep:
                self._work.notify()

    def wake(self) -> None:
        """Have the thread look into the outbox, to which something was appended."""
        if self._asleep:
            with self._lock:
                self._work.notify()
        elif self._thread is None:
            self.start()

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
            there was no room for (see `Outbox.dropped`).
        """
        with self._lock:
            targets = self._outbox.last_ticket, self._latest.last_ticket
            self._flushing += 1
            self._nudged = True
            self._work.notify()
            try:
                if not self._done.wait_for(lambda: self._settled(*targets), timeout_s):
                    self._done.wait_for(lambda: not self._sending, SEND_BOUND_S)
            finally:
                self._flushing -= 1
            return not self._status_lost and not self._holds_up_to(*targets)

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

    def _settled(self, ticket: int, latest_ticket: int) -> bool:
        return self._closing or not self._holds_up_to(ticket, latest_ticket)

    def _holds_up_to(self, ticket: int, latest_ticket: int) -> bool:
        return self._outbox.holds_up_to(ticket) or self._latest.holds_up_to(latest_ticket)

    # From here on: the publisher's thread.

    def _run(self) -> None:
        try:
            while not self._closing:
                try:
                    if self._connect():
                        self._send_all()
                except Exception as error:  # noqa: BLE001  without this thread nothing is reported
                    self._log.error("the bus met a bug; it goes on", reason=describe(error))
                    self._fail(BusUnavailable(describe(error)))
        finally:
            self._backlog.close()
            self._transport.close()

    def _connect(self) -> bool:
        try:
            self._transport.connect()
            self._on_connect(self._transport)
        except (BusUnavailable, BusRefused) as error:
            self._fail(error)
            return False
        except Exception as error:  # noqa: BLE001  no fault of a transport may end the thread
            self._fail(BusUnavailable(describe(error)))
            return False
        with self._lock:
            self._attempted = self._connected = True
            self._done.notify_all()
        if self._outage.failures:
            self._renew_heartbeat()
        return True

    def _renew_heartbeat(self) -> None:
        for act in self._reconnected:
            act()
        with self._lock:
            self._latest.drop_heartbeats()

    def _send_all(self) -> None:
        """Send until the bus fails or the publisher is closed."""
        while (work := self._next()) is not None:
            failure = self._send(work)
            with self._lock:
                self._sending = False
                self._done.notify_all()
            if failure is not None:
                self._fail(failure)
                return
            self._outage.over(self._dropped)

    def _next(self) -> Waiting | Batch | None:
        """Wait for something that is due; None once the publisher is closed."""
        while True:
            self._ticks.run()
            with self._lock:
                if self._closing:
                    return None
                self._nudged = False
                self._sending = True
            work = self._choose()
            if work is not None:
                return work
            with self._lock:
                self._sending = False
                self._done.notify_all()
            self._outage.over(self._dropped)
            self._sleep()

    def _choose(self) -> Waiting | Batch | None:
        """Messages go out as they were numbered, but a sign of life waits for one batch only."""
        batch = self._backlog.next_batch()
        with self._lock:  # in this order: a beat that precedes the batch is there by now
            latest = self._latest.head()
        if batch is None or latest is None:
            return batch or latest
        seq = 0 if self._made_wait else latest.message["seq"]
        early = self._backlog.hold_back(batch, seq)
        self._made_wait = early is not None
        return early or latest

    def _send(self, work: Waiting | Batch) -> BusUnavailable | BusRefused | None:
        """Send something and let go of it; return what the bus failed of, if it did."""
        try:
            if isinstance(work, Batch):
                self._deliver(work)
            else:
                self._send_latest(work)
        except (BusUnavailable, BusRefused) as error:
            return error
        except OSError as error:  # of an outbox; those of a bus are translated
            return BusUnavailable(describe(error))
        return None

    def _deliver(self, batch: Batch) -> None:
        own = batch.outbox is self._outbox
        for sent, rejected in batch.deliver(self._transport, must_count=own):
            if rejected is None:
                self._sent += len(sent.messages)
            else:
                self._reject(sent.messages[0], rejected, own=own)

    def _send_latest(self, waiting: Waiting) -> None:
        try:
            self._transport.send(waiting.message)
            self._sent += 1
        except (BusUnavailable, BusRefused):
            raise
        except Exception as error:  # noqa: BLE001  one bad message must not hold up the others
            self._reject(waiting.message, error)
        with self._lock:
            self._latest.settle(waiting)

    def _reject(self, message: Wire, error: Exception, *, own: bool = False) -> None:
        with self._lock:
            self._rejected += 1
            self._status_lost = self._status_lost or (own and message["type"] == "status")
        self._log.error(
            "the bus will not take a message; it is given up",
            kind=message["type"],
            seq=message["seq"],
            reason=describe(error),
        )

    def _fail(self, error: BusUnavailable | BusRefused) -> None:
        """Note a failure, tell of it if it is the first, and pause."""
        self._backlog.rewind()
        with self._lock:
            refused_at_first = False
            if not self._attempted and isinstance(error, BusRefused):
                self._refused = error
                refused_at_first = True
            self._attempted = True
            self._connected = False
            self._done.notify_all()
        # Whoever waits for the first connection tells of a refusal, as an error.
        self._outage.failed(error, told=refused_at_first)
        self._pause(self._backoff.pause_s(self._outage.failures))

    def _sleep(self) -> None:
        with self._lock:
            # In this order: who appends looks at `_asleep` afterwards.
            self._asleep = True
            idle = self._latest.head() is None and not self._outbox_holds
            if (idle or self._backlog.troubled) and not self._closing and not self._nudged:
                self._work.wait(TICK_S)
            self._asleep = False

    def _pause(self, pause_s: float) -> None:
        start_s = self._clock.monotonic()
        while True:
            self._ticks.run()
            self._sync()
            with self._lock:
                if self._closing or self._nudged:
                    self._nudged = False
                    return
                limit_s = min(pause_s, FLUSH_PAUSE_S) if self._flushing else pause_s
                left_s = start_s + limit_s - self._clock.monotonic()
                if left_s <= 0:
                    return
                self._work.wait(min(left_s, SYNC_S))

    def _sync(self) -> None:
        """Bring to the disk what waits, so that a power cut costs half a second of it at most."""
        now_s = self._clock.monotonic()
        if now_s - self._synced_s >= SYNC_S:
            self._synced_s = now_s
            self._backlog.sync()

    @property
    def _outbox_holds(self) -> bool:
        return self._outbox.holds_up_to(self._outbox.last_ticket)

    @property
    def _dropped(self) -> int:
        return self._rejected + sum(self._outbox.dropped.values())
