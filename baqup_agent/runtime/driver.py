"""Drives one run through the declared lifecycle: the single thread that fires triggers.

Signals, deadlines and the worker reach the driver as events. Effects run inside transitions, on
this thread; the author's code runs between ``start`` and ``complete``, on a thread of its own, so
that this one always hears. Whatever goes wrong, wherever, ends in one place, which gives it a
class, stops the work and fires ``fail`` once.

Leaves of ``running`` are moved by the author's code, which asks for its triggers and waits for the
answer. In ``initializing`` and ``completing`` no code of the author's runs but the effects of
leaves; there the driver takes the custom transitions by itself, first declared first.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

from attrs import define, field

from baqup_agent.errors import Aborted, BaqupError, describe, error_class
from baqup_agent.lifecycle.declaration import Lifecycle, SignalPolicy
from baqup_agent.lifecycle.illegal import IllegalTransition, RefusedTransition
from baqup_agent.lifecycle.machine import Machine
from baqup_agent.observability.sink import LogSink
from baqup_agent.runtime.deadlines import Limit
from baqup_agent.runtime.inbox import Event, Fire, Inbox, StopRequested, WorkEnded


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
        lasts: whether the stay that a limit belongs to goes on.
        judge: gives what went wrong its place in the error tree.
        stop_work: takes the error, and ends the author's code and its children; called before
            ``fail`` is fired.
        log: says what happens.
    """

    machine: Machine
    inbox: Inbox
    lasts: Callable[[Limit], bool]
    judge: Callable[[BaseException], BaqupError]
    stop_work: Callable[[BaqupError], None]
    log: LogSink
    _stop: StopRequested | None = field(default=None, init=False)

    def drive(self) -> None:
        """Take the run from its first effect to a final state; never raises."""
        try:
            self.machine.begin()
            self._advance_to("start")
            self._fire("start")
            self._await_work()
            self._fire("complete")
            self._advance_to("terminate")
            self._fire("terminate")
        except BaseException as error:  # noqa: BLE001  the run's one error path
            self._fail(self.judge(error))

    def _fire(self, trigger: str, **payload: Any) -> None:
        """Fire a trigger; a stop that had to wait for the leaf just left is heeded now."""
        self.machine.fire(trigger, **payload)
        if self._stop is not None:
            self._obey(self._stop)

    def _advance_to(self, trigger: str) -> None:
        """Take custom transitions until ``trigger`` is legal, heeding events in between."""
        self._heed_what_came()
        while trigger not in self.machine.lifecycle.legal(self.machine.state):
            self._take_the_first_way_on(trigger)
            self._heed_what_came()

    def _take_the_first_way_on(self, wanted: str) -> None:
        leaf = self.machine.state
        custom = self.machine.lifecycle.custom_triggers
        taken = len(self.machine.history)
        for trigger in self.machine.lifecycle.legal(leaf):
            if trigger in custom:
                try:
                    self._fire(trigger)
                except RefusedTransition:
                    if len(self.machine.history) > taken:  # it came from an effect
                        raise
                    continue
                return
        raise IllegalTransition(leaf, wanted, self.machine.lifecycle.legal(leaf))

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
        if isinstance(event, Fire):
            self._fire_for_the_work(event)
        elif isinstance(event, StopRequested):
            self.log.info(f"{event.signal_name} received", state=self.machine.state)
            self._stop = self._stop or event
            self._obey(event)
        elif self.lasts(event.limit):
            raise outlasted(self.machine.lifecycle, event.limit.state)
        return False

    def _fire_for_the_work(self, event: Fire) -> None:
        custom = self.machine.lifecycle.custom_triggers
        if event.trigger not in custom:  # the contract's own are not the author's to fire
            event.answer.put(IllegalTransition(self.machine.state, event.trigger, custom, custom))
            return
        taken = len(self.machine.history)
        try:
            self._fire(event.trigger, **event.payload)
        except BaseException as error:
            event.answer.put(error)
            # Refused by the machine itself, nothing has changed and the author's code may go on;
            # the same error out of an effect comes after the step.
            if not isinstance(error, IllegalTransition) or len(self.machine.history) > taken:
                raise
        else:
            event.answer.put(None)

    def _obey(self, stop: StopRequested) -> None:
        """Do what the current leaf makes of a request to stop.

        Raises:
            Aborted: the leaf aborts.
        """
        leaf = self.machine.state
        policy = self.machine.lifecycle.signal_policy(leaf)
        if policy is SignalPolicy.ABORT:
            raise Aborted(f"{stop.signal_name} received; the job was aborted in state {leaf!r}")
        if policy is SignalPolicy.IGNORE:
            self._stop = None

    def _fail(self, error: BaqupError) -> None:
        if self.machine.final:  # an effect of a final state: the outcome stands
            self.log.error(f"an effect of {self.machine.state!r} failed: {error.message}")
            return
        try:
            self.stop_work(error)
        except BaseException as second:  # noqa: BLE001  nothing may hide the first error
            self.log.error(f"stopping the work failed too: {describe(second)}")
        for _ in range(2):  # an exit effect that broke once may let the second try pass
            if self.machine.final:
                return
            try:
                self.machine.fire("fail")
            except BaseException as second:  # noqa: BLE001  likewise
                self.log.error(f"entering 'failed' failed too: {describe(second)}")


def outlasted(lifecycle: Lifecycle, state: str) -> BaqupError:
    """Return the error of a stay in ``state`` that lasted too long, as the declaration names it."""
    deadline = lifecycle.state(state).deadline
    if deadline is None:
        raise ValueError(f"state {state!r} has no deadline")
    return error_class(deadline.error_code)(
        f"state {state!r} outlasted its deadline ({deadline})",
        suggestions=(f"raise {deadline.variable}",) if deadline.variable else (),
    )
