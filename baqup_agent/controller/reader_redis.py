"""Reads a Redis bus from a thread of its own: told by notifications, made sure by looking.

A session subscribes first and then looks at everything that is stored, so nothing falls between.
From then on a notification is taken as the message that it is, or, for an event, as a hint to read
the job's stream from where it was left. Every few seconds all of it is looked at again. A server
that is away, slow or silent ends the session, and a new one is tried: whoever uses the messages is
never kept waiting by it.

A client that may not subscribe reads all the same, more often.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

from baqup_agent.bus.topology import NOTIFY_WORD
from baqup_agent.bus.url import RedisUrl
from baqup_agent.clock import SystemClock, timestamp
from baqup_agent.controller.complaints import Complaints
from baqup_agent.controller.messages import BusMessage, order_of
from baqup_agent.controller.outlet import Outlet
from baqup_agent.controller.redis_access import RedisAccess
from baqup_agent.controller.redis_look import RedisLook
from baqup_agent.errors import BaqupError, BusRefused, describe
from baqup_agent.security.secret import REDACTED

#: Seconds that one exchange with the server may take.
_TIMEOUT_S = 1.0

#: Seconds that `start` waits for the first look.
_START_S = 3.0

#: Seconds that the reading at the end may take altogether.
_FINISH_S = 5.0

#: Seconds between attempts to reach a server that is away.
_PAUSE_S = 0.5

#: Seconds that one wait for a notification lasts.
_WAIT_S = 0.1

#: Seconds between looks at everything, with notifications and without. A look never takes more
#: than a share of the time, however much there is to see.
_LOOK_EVERY_S = 5.0
_LOOK_ALONE_EVERY_S = 1.0
_SHARE = 20

#: Most notifications that are taken before they are acted on.
_MOST_AT_ONCE = 1000


class RedisSource:
    """Reads the messages of one job or of all; see `baqup_agent.controller.reader.Source`.

    Args:
        url: the bus.
        key_prefix: what every key begins with.
        job_id: the job; None reads all.
        only_new: leave out what was stored before `start`, by its timestamp.
        look_every_s: seconds between looks at everything.
    """

    def __init__(
        self,
        url: RedisUrl,
        key_prefix: str,
        job_id: str | None,
        *,
        only_new: bool = False,
        look_every_s: float = _LOOK_EVERY_S,
    ) -> None:
        self._url = url
        self._channel = f"{key_prefix}{NOTIFY_WORD}"
        self._complaints = Complaints()
        self._outlet = Outlet()
        self._look = RedisLook(key_prefix, job_id, self._outlet.put, self._complaints)
        self._only_new = only_new
        self._look_every_s = look_every_s
        self._look_due_s = 0.0
        self._seeing = self._seen = False
        self._trouble: str | None = None
        self._refusal: BusRefused | None = None
        self._told_away = False
        self._pong = True
        self._listening = False
        self._ready = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bus-reader", daemon=True)

    @property
    def unreadable(self) -> int:
        """See `Source`."""
        return self._complaints.unreadable

    @property
    def seeing(self) -> bool:
        """See `Source`."""
        return self._seeing

    @property
    def trouble(self) -> str | None:
        """See `Source`."""
        return self._trouble

    @property
    def refusal(self) -> BusRefused | None:
        """See `Source`."""
        return self._refusal

    def start(self) -> None:
        """Begin to read; return once everything was looked at, or cannot be quickly."""
        if self._only_new:
            self._look.leave_out(order_of(timestamp(SystemClock().now())) or "")
        self._thread.start()
        # The first look may fill the outlet, which nobody empties yet.
        self._ready.wait(_START_S)

    def poll(self, timeout_s: float) -> list[BusMessage]:
        """See `Source`."""
        return self._outlet.take(timeout_s)

    def finish(self) -> Iterator[BusMessage]:
        """Look at everything once more, and yield all that was not told before."""
        self._ending.set()
        deadline_s = time.monotonic() + _FINISH_S
        while self._thread.is_alive() and time.monotonic() < deadline_s:
            yield from self._outlet.take(_WAIT_S)
            self._thread.join(0)
        if self._thread.is_alive():
            self._complaints.note("the bus did not answer in time: what it stores is not read")
        self._outlet.close()
        yield from self._outlet.take()

    def close(self) -> None:
        """See `Source`."""
        self._ending.set()
        self._outlet.close()

    def notes(self) -> list[str]:
        """See `Source`."""
        return self._complaints.take()

    def _run(self) -> None:
        while not self._ending.is_set():
            if not self._attempt(last=False):
                self._ready.set()  # nobody need wait for a server that is away
                self._ending.wait(_PAUSE_S)
        if not self._outlet.closed and not self._attempt(last=True):
            self._complaints.note("what the bus stores could not be read at the end")

    def _attempt(self, *, last: bool) -> bool:
        """Hold a session; False if the server ended it.

        The last one is a single look.
        """
        try:
            with contextlib.closing(RedisAccess(self._url, _TIMEOUT_S)) as bus:
                if last:
                    self._look.everything(bus)
                else:
                    self._session(bus)
        except Exception as error:  # noqa: BLE001  the thread must go on, whatever the server did
            self._lose_sight(error)
            return False
        return True

    def _lose_sight(self, error: Exception) -> None:
        from baqup_agent.bus.redis_errors import refusal_of_reader

        self._seeing = False
        error = refusal_of_reader(error, self._url.display) or error
        self._trouble = _reason(error, self._url)
        if not self._seen and isinstance(error, BusRefused):
            self._refusal = BusRefused(self._trouble)
        if self._told_away:
            return
        self._told_away = True
        self._complaints.note(f"the bus {self._url.display} cannot be watched: {self._trouble}")

    def _session(self, bus: RedisAccess) -> None:
        with contextlib.closing(bus.subscription()) as subscription:
            self._listening = self._subscribe(subscription)
            self._look_at_everything(bus, rescan=True)
            if self._told_away:
                self._complaints.note("the bus can be watched again")
            self._seeing, self._told_away, self._pong = True, False, True
            self._seen, self._refusal, self._trouble = True, None, None
            self._ready.set()
            while not self._ending.is_set():
                if self._listening:
                    self._listen(bus, subscription)
                else:
                    self._ending.wait(_WAIT_S)
                if time.monotonic() >= self._look_due_s:
                    self._look_at_everything(bus, rescan=False)
                    self._test(subscription)

    def _subscribe(self, subscription: Any) -> bool:
        """Subscribe; False if that is not allowed."""
        from redis import exceptions

        try:
            subscription.subscribe(self._channel)
            deadline_s = time.monotonic() + _TIMEOUT_S
            while (entry := subscription.get_message(timeout=_TIMEOUT_S)) is None:
                if time.monotonic() > deadline_s:
                    raise TimeoutError
        except (exceptions.NoPermissionError, exceptions.ResponseError) as error:
            self._complaints.note(
                f"the bus does not let us listen ({type(error).__name__}); it is looked at "
                "every second instead; allow the user the channel of notifications"
            )
            return False
        return bool(entry["type"] == "subscribe")

    def _listen(self, bus: RedisAccess, subscription: Any) -> None:
        """Take the notifications that wait, or wait for one, and act on them."""
        self._drain(subscription, 0.0 if self._look.unsettled else _WAIT_S)
        # What is drained between the reading of streams and the telling keeps the order right.
        self._look.settle(bus, lambda: self._drain(subscription, 0.0))

    def _drain(self, subscription: Any, wait_s: float) -> int:
        """Note the notifications that are there; returns how many there were."""
        for number in range(_MOST_AT_ONCE):
            entry = subscription.get_message(timeout=0.0 if number else wait_s)
            if entry is None:
                return number
            if entry["type"] == "message":
                self._look.notified(entry["data"])
            elif entry["type"] == "pong":
                self._pong = True
        return _MOST_AT_ONCE

    def _look_at_everything(self, bus: RedisAccess, *, rescan: bool) -> None:
        began_s = time.monotonic()
        self._look.everything(bus, rescan=rescan)
        took_s = time.monotonic() - began_s
        every_s = self._look_every_s if self._listening else _LOOK_ALONE_EVERY_S
        self._look_due_s = time.monotonic() + max(every_s, _SHARE * took_s)

    def _test(self, subscription: Any) -> None:
        """End a session whose subscription is dead: the ping before this one had no answer."""
        if not self._listening:
            return
        if not self._pong and self._drain(subscription, 0.0) < _MOST_AT_ONCE and not self._pong:
            raise TimeoutError
        self._pong = False
        subscription.ping()


def _reason(error: Exception, url: RedisUrl) -> str:
    """Return why the bus cannot be read, as one line without the password of its URL."""
    text = error.message if isinstance(error, BaqupError) else describe(error)
    password = urlsplit(url.secret.reveal()).password
    for form in filter(None, (password, unquote(password or ""))):
        text = text.replace(form, REDACTED)
    return text
