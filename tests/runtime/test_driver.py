"""The driver alone: one error path, one `fail`, whatever goes wrong and wherever."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any

import pytest

from baqup_agent import (
    CONTRACT,
    IllegalTransition,
    JobCancelled,
    Lifecycle,
    State,
    Transition,
    refine,
)
from baqup_agent.errors import Aborted, BaqupError, DataError, InternalError, JobTimeout, classify
from baqup_agent.job.cancellation import CancellationToken
from baqup_agent.lifecycle.machine import Machine
from baqup_agent.observability.sink import NullLog
from baqup_agent.runtime.deadlines import Limit
from baqup_agent.runtime.driver import Driver, Worker
from baqup_agent.runtime.firing import ask_driver
from baqup_agent.runtime.inbox import DeadlineExpired, Inbox, StopRequested


class Scene:
    """A driver whose parts are in memory; `seen` notes what it did, in order."""

    def __init__(
        self,
        work: Callable[[], None] = lambda: None,
        *,
        lifecycle: Lifecycle = CONTRACT,
        burst: dict[str, BaseException] | None = None,
        stop_error: BaseException | None = None,
        on_enter: dict[str, Callable[[Scene], object]] | None = None,
    ) -> None:
        self.seen: list[str] = []
        self.error: BaqupError | None = None
        self.inbox = Inbox()
        self.token = CancellationToken()
        self.worker = Worker(work, self.inbox)
        self._burst = burst or {}
        self._stop_error = stop_error
        self._on_enter = on_enter or {}
        self.machine = Machine(
            lifecycle,
            {name: [self._effect(name)] for name in lifecycle.names},
            actions={"terminate": [self._effect("publish")]},
        )
        self.driver = Driver(
            self.machine, self.inbox, lambda limit: True, classify, self._stop, NullLog()
        )

    def _effect(self, name: str) -> Callable[[], None]:
        def effect() -> None:
            self.seen.append(name)
            if name in self._burst:
                raise self._burst[name]
            if name == "running":
                self.worker.start()
            self._on_enter.get(name, id)(self)

        return effect

    def _stop(self, error: BaqupError) -> None:
        self.seen.append("stop")
        self.error = error
        self.token.cancel(error)
        if self._stop_error is not None:
            raise self._stop_error

    def drive(self) -> Scene:
        self.driver.drive()
        return self


def test_a_good_run_fires_each_trigger_once() -> None:
    """Effects in the order of the states, publication before `terminated`."""
    scene = Scene().drive()

    assert [step.trigger for step in scene.machine.history] == ["start", "complete", "terminate"]
    assert scene.seen == ["initializing", "running", "completing", "publish", "terminated"]
    assert scene.error is None


@pytest.mark.parametrize("place", ["initializing", "running", "completing", "publish"])
@pytest.mark.parametrize(
    "error", [DataError("x"), ValueError("x"), KeyboardInterrupt(), SystemExit(0)]
)
def test_whatever_bursts_wherever_fails_the_run_once(place: str, error: BaseException) -> None:
    """The work is stopped, `fail` is fired once, and the machine ends in `failed`."""
    scene = Scene(burst={place: error}).drive()

    assert scene.machine.state == "failed"
    assert [step.trigger for step in scene.machine.history].count("fail") == 1
    assert scene.seen.count("stop") == 1
    assert scene.seen.index("stop") < scene.seen.index("failed")
    assert "terminated" not in scene.seen
    assert scene.error is error or scene.error.__cause__ is error


def test_the_works_error_is_the_runs() -> None:
    """What the author's code raises is classified and fails the run."""

    def work() -> None:
        raise DataError("malformed")

    scene = Scene(work).drive()

    assert isinstance(scene.error, DataError)
    assert scene.seen == ["initializing", "running", "stop", "failed"]


@pytest.mark.parametrize("place", ["failed", "terminated"])
def test_an_effect_of_a_final_state_does_not_change_the_outcome(place: str) -> None:
    """It is logged; the machine stays where it is, and nothing is fired again."""

    def work() -> None:
        if place == "failed":
            raise DataError("first")

    scene = Scene(work, burst={place: ValueError("late")}).drive()

    assert scene.machine.state == place
    assert scene.machine.final
    assert scene.error is None if place == "terminated" else isinstance(scene.error, DataError)


def test_trouble_while_stopping_does_not_keep_the_run_from_failing() -> None:
    """The first error stands, and `failed` is reached all the same."""

    def work() -> None:
        raise DataError("first")

    scene = Scene(work, stop_error=OSError("second")).drive()

    assert scene.machine.state == "failed"
    assert isinstance(scene.error, DataError)


def test_a_stop_before_the_work_keeps_it_from_beginning() -> None:
    """A request that waits in the inbox is heeded before `start`."""
    scene = Scene()
    scene.inbox.put(StopRequested("SIGTERM"))
    scene.drive()

    assert isinstance(scene.error, Aborted)
    assert "running" not in scene.seen


def test_a_stop_in_completing_is_let_pass() -> None:
    """What was begun is finished: the run terminates."""
    scene = Scene(on_enter={"completing": lambda s: s.inbox.put(StopRequested("SIGTERM"))}).drive()

    assert scene.machine.state == "terminated"


def test_only_a_stay_that_lasts_can_expire() -> None:
    """The deadline of a stay that has ended is forgotten."""
    release = threading.Event()
    limit = Limit("running", 0, 0)
    scene = Scene(lambda: release.wait(10) and None)  # type: ignore[func-returns-value]
    scene.driver.lasts = lambda asked: release.set() or asked is not limit
    scene.inbox.put(DeadlineExpired(limit))
    scene.drive()

    assert scene.machine.state == "terminated"


def test_an_expired_deadline_fails_with_the_states_error() -> None:
    """The declaration names the error."""
    release = threading.Event()
    scene = Scene(release.wait)
    threading.Timer(0.05, lambda: scene.inbox.put(DeadlineExpired(Limit("running", 0, 0)))).start()
    scene.drive()
    release.set()

    assert isinstance(scene.error, JobTimeout)


LEAVES = refine(
    CONTRACT, "running", initial="a",
    states=[State("a"), State("b", on_signal="finish"), State("c")],
    transitions=[Transition("go", "a", "b"), Transition("on", "b", "c")],
)  # fmt: skip


def asking(scene: Callable[[], Scene], *triggers: str) -> Callable[[], None]:
    def work() -> None:
        for trigger in triggers:
            ask_driver(scene().inbox, scene().token, trigger, {})

    return work


def test_the_work_moves_its_leaves_through_the_driver() -> None:
    """Each request is answered after its transition was taken."""
    scenes: list[Scene] = []
    scene = Scene(asking(lambda: scenes[0], "go", "on"), lifecycle=LEAVES)
    scenes.append(scene)
    scene.drive()

    assert [step.target for step in scene.machine.history] == [
        "running.a", "running.b", "running.c", "completing", "terminated",
    ]  # fmt: skip


@pytest.mark.parametrize("trigger", ["on", "complete", "fail", "nonsense"])
def test_an_illegal_request_is_answered_and_changes_nothing(trigger: str) -> None:
    """A wrong leaf, the contract's own triggers and unknown names raise in the author's code."""
    scenes: list[Scene] = []
    caught: list[IllegalTransition] = []

    def work() -> None:
        try:
            ask_driver(scenes[0].inbox, scenes[0].token, trigger, {})
        except IllegalTransition as error:
            caught.append(error)
        asking(lambda: scenes[0], "go", "on")()

    scene = Scene(work, lifecycle=LEAVES)
    scenes.append(scene)
    scene.drive()

    assert [error.trigger for error in caught] == [trigger]
    assert scene.machine.state == "terminated"


def test_an_effect_that_bursts_on_a_request_fails_the_run() -> None:
    """The author's code hears of it, and cannot save the run by catching it."""
    scenes: list[Scene] = []

    def work() -> None:
        try:
            asking(lambda: scenes[0], "go")()
        except (OSError, JobCancelled):
            return

    scene = Scene(work, lifecycle=LEAVES, burst={"running.b": OSError("disk")})
    scenes.append(scene)
    scene.drive()

    assert scene.machine.state == "failed"
    assert scene.error is not None
    assert scene.error.exit_code == 74


def test_an_effect_that_raises_an_illegal_transition_fails_the_run() -> None:
    """It comes after the step, so it is no answer to the request: something broke."""
    scenes: list[Scene] = []

    def work() -> None:
        with contextlib.suppress(IllegalTransition):
            asking(lambda: scenes[0], "go")()

    burst = {"running.b": IllegalTransition("elsewhere", "x", [])}
    scene = Scene(work, lifecycle=LEAVES, burst=burst)
    scenes.append(scene)
    scene.drive()

    assert scene.machine.state == "failed"
    assert scene.error is not None
    assert scene.error.exit_code == 70


def test_an_exit_effect_that_always_raises_does_not_make_the_driver_raise() -> None:
    """`drive` promises never to; what it could not do is logged."""

    def burst() -> None:
        raise OSError("still on fire")

    def work() -> None:
        raise DataError("first")

    scene = Scene(work)
    scene.machine = Machine(CONTRACT, {"running": [scene.worker.start]}, exits={"running": [burst]})
    scene.driver.machine = scene.machine
    scene.drive()

    assert isinstance(scene.error, DataError)


FIRST = refine(
    CONTRACT, "initializing", initial="a", states=[State("a", on_signal="finish"), State("b")],
    transitions=[Transition("go", "a", "b")],
)  # fmt: skip


def test_a_stop_that_a_leaf_of_initializing_outlives_is_not_lost() -> None:
    """`finish` lets that leaf end; the next one aborts, and the work never begins."""
    scene = Scene(lifecycle=FIRST)
    scene.inbox.put(StopRequested("SIGTERM"))
    scene.drive()

    assert isinstance(scene.error, Aborted)
    assert "'initializing.b'" in scene.error.message
    assert "running" not in scene.seen


def test_a_stop_waits_for_the_leaf_that_finishes() -> None:
    """`finish` lets the leaf end; the next leaf, which aborts, does."""
    scenes: list[Scene] = []

    def work() -> None:
        asking(lambda: scenes[0], "go")()
        scenes[0].inbox.put(StopRequested("SIGTERM"))
        asking(lambda: scenes[0], "on")()
        scenes[0].token.sleep(10)

    scene = Scene(work, lifecycle=LEAVES)
    scenes.append(scene)
    scene.drive()

    assert isinstance(scene.error, Aborted)
    assert "'running.c'" in scene.error.message


def test_an_effect_must_not_fire() -> None:
    """Asking from the driver's own thread would wait for itself."""
    with pytest.raises(InternalError, match="was fired from an effect"):
        ask_driver(Inbox(), CancellationToken(), "go", {})


def test_a_request_of_cancelled_work_is_not_waited_for() -> None:
    """Nobody answers any more; the caller is released."""
    token, inbox = CancellationToken(), Inbox()
    ends: list[BaseException] = []

    def ask() -> None:
        try:
            ask_driver(inbox, token, "go", {})
        except JobCancelled as error:
            ends.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    request: Any = inbox.get(timeout=10)
    token.cancel(Aborted("stop"))
    thread.join(10)

    assert request.trigger == "go"
    assert len(ends) == 1
