"""Drives one run through the declared lifecycle: the single thread that fires triggers.

Signals, deadlines and the worker reach the driver as events. Effects run inside transitions, on
this thread; the author's code runs between ``start`` and ``complete``, on a thread of its own, so
that this one always hears. Whatever goes wrong, wherever, ends in one place, which gives it a
class, stops the work and fires ``fail`` once.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from attrs import define, field

from baqup_agent.errors import Aborted, BaqupError, describe, error_class
from baqup_agent.lifecycle.declaration import Lifecycle, SignalPolicy
from baqup_agent.lifecycle.machine import Machine
from baqup_agent.observability.sink import LogSink
from baqup_agent.runtime.inbox import Event, Inbox, StopRequested, WorkEnded


@define
class Worker:
    """Runs the author's code on a thread of its own and says how it ended.

    Attributes:
        work: the code.
        inbox: where the end is told.
    """

    work: Callable[[], None]
    inbox: Inbox
    _thread: threading.Thread | None = field(default=None, init=False)

    def start(self) -> None:
        """Begin the work."""
        # A daemon, because code that ignores its cancellation must not keep the process alive.
        self._thread = threading.Thread(target=self._run, name="job", daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Wait for the work to end; return whether it has."""
        if self._thread is not None:
            self._thread.join(seconds)
        return self._thread is None or not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self.work()
        except BaseException as error:  # noqa: BLE001  every way out is an event, SystemExit too
            self.inbox.put(WorkEnded(error))
        else:
            self.inbox.put(WorkEnded())


@define
class Driver:
    """Fires the triggers of one run.

    Attributes:
        machine: the compiled lifecycle with its effects.
        inbox: the events from outside.
        judge: gives what went wrong its place in the error tree.
        stop_work: takes the error, and ends the author's code and its children; called before
            ``fail`` is fired.
        log: says what happens.
    """

    machine: Machine
    inbox: Inbox
    judge: Callable[[BaseException], BaqupError]
    stop_work: Callable[[BaqupError], None]
    log: LogSink

    def drive(self) -> None:
        """Take the run from its first effect to a final state; never raises."""
        try:
            self.machine.begin()
            self._heed_what_came()
            self.machine.fire("start")
            self._await_work()
            self.machine.fire("complete")
            self.machine.fire("terminate")
        except BaseException as error:  # noqa: BLE001  the run's one error path
            self._fail(self.judge(error))

    def _heed_what_came(self) -> None:
        while True:
            try:
                self._heed(self.inbox.get_nowait())
            except queue.Empty:
                return

    def _await_work(self) -> None:
        while not self._heed(self.inbox.get()):
            pass

    def _heed(self, event: Event) -> bool:
        """Act on an event; return whether the work has ended well.

        Raises:
            BaseException: the run must fail with it.
        """
        if isinstance(event, WorkEnded):
            if event.error is not None:
                raise event.error
            return True
        if isinstance(event, StopRequested):
            self._heed_stop(event)
        elif event.state == self.machine.state:
            raise outlasted(self.machine.lifecycle, event.state)
        return False

    def _heed_stop(self, event: StopRequested) -> None:
        state = self.machine.lifecycle.state(self.machine.state)
        self.log.info(
            f"{event.signal_name} received", state=state.name, policy=str(state.on_signal)
        )
        if state.on_signal is SignalPolicy.ABORT:
            raise Aborted(
                f"{event.signal_name} received in state {state.name!r}; the job was aborted"
            )

    def _fail(self, error: BaqupError) -> None:
        if self.machine.final:  # an effect of a final state: the outcome stands
            self.log.error(f"an effect of {self.machine.state!r} failed: {error.message}")
            return
        try:
            self.stop_work(error)
            self.machine.fire("fail")
        except BaseException as second:  # noqa: BLE001  nothing may hide the first error
            self.log.error(f"ending the run failed too: {describe(second)}")
            if not self.machine.final:
                self.machine.fire("fail")


def outlasted(lifecycle: Lifecycle, state: str) -> BaqupError:
    """Return the error of a stay in ``state`` that lasted too long, as the declaration names it."""
    deadline = lifecycle.state(state).deadline
    if deadline is None:
        raise ValueError(f"state {state!r} is final and has no deadline")
    return error_class(deadline.error_code)(
        f"state {state!r} outlasted its deadline ({deadline})",
        suggestions=(f"raise {deadline.variable}",) if deadline.variable else (),
    )
