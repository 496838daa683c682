"""Signals become events, whatever the main thread is doing (Contract §1).

Python runs a handler between two bytecodes of the main thread, so a long C call would delay it.
The interpreter's wake-up descriptor is written by the C handler itself; a listening thread reads
it at once. The Python handlers do nothing: they are there because a signal without one keeps its
default disposition, which kills the process.

This module imports nothing slow: it is what an agent does first.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

#: Signals that ask the run to stop.
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

#: The controller's liveness probe.
PROBE_SIGNAL = signal.SIGUSR1

_READ_BYTES = 512


class Signals:
    """The process's signal handling for one run.

    Signals that arrive between `install` and `listen` wait in the pipe and are delivered then.
    """

    def __init__(self) -> None:
        self._reader = -1
        self._writer = -1
        self._previous: dict[signal.Signals, object] = {}

    def install(self) -> None:
        """Take over the stop signals and the probe; from the main thread only.

        Raises:
            ValueError: called from another thread.
        """
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for signum in (*STOP_SIGNALS, PROBE_SIGNAL):
            self._previous[signum] = signal.signal(signum, _do_nothing)

    def listen(self, on_stop: Callable[[str], None], on_probe: Callable[[], None]) -> None:
        """Start the thread that hands signals on.

        Args:
            on_stop: called with the name of each stop signal.
            on_probe: called for each probe.
        """
        threading.Thread(
            target=self._hand_on, args=(on_stop, on_probe), name="signals", daemon=True
        ).start()

    def _hand_on(self, on_stop: Callable[[str], None], on_probe: Callable[[], None]) -> None:
        while numbers := os.read(self._reader, _READ_BYTES):
            for number in numbers:
                if number == PROBE_SIGNAL:
                    on_probe()
                elif number in STOP_SIGNALS:
                    on_stop(signal.Signals(number).name)


def ignore_signals() -> None:
    """Turn a deaf ear to them for good: the run is over and its exit code is decided."""
    for signum in (*STOP_SIGNALS, PROBE_SIGNAL):
        signal.signal(signum, signal.SIG_IGN)


def _do_nothing(_signum: int, _frame: object) -> None:
    """Keep the default disposition away; the listening thread does the work."""
