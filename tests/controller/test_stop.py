"""Requests to stop, from threads and from signals."""

from __future__ import annotations

import os
import signal
import threading

from baqup_agent.controller import StopRequests


def test_requests_are_taken_in_their_order():
    """Each once."""
    stop = StopRequests()
    stop.request("one")
    thread = threading.Thread(target=stop.request, args=("two",))
    thread.start()
    thread.join()

    assert [stop.take(), stop.take(), stop.take()] == ["one", "two", None]


def test_signals_become_requests_while_it_is_asked_for():
    """Each with its name, and afterwards the old handlers are back."""
    stop = StopRequests()
    before = signal.getsignal(signal.SIGHUP)
    with stop.on_signals():
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(os.getpid(), number)

    assert [stop.take(), stop.take(), stop.take()] == ["SIGTERM", "SIGINT", "SIGHUP"]
    assert signal.getsignal(signal.SIGHUP) == before


def test_an_ignored_signal_stays_ignored():
    """As SIGHUP is under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        stop = StopRequests()
        with stop.on_signals():
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert stop.take() is None
    finally:
        signal.signal(signal.SIGHUP, before)
