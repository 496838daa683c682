"""Compiles a declared lifecycle to a flat `transitions` machine.

The one module that imports `transitions`, and only its core. Callbacks are callables, sources are
explicit, and the library's own error hooks stay unused: a callback that raises leaves the machine
in the new state with the rest of the callbacks skipped, and it is the driver that then fires
``fail``. One thread fires triggers; any thread may read `Machine.state`.

In lock-step with the running machine, a monitor follows the contract's five states; should the two
ever disagree, that is an internal error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from transitions import EventData
from transitions import Machine as CoreMachine

from baqup_agent.clock import Clock, SystemClock
from baqup_agent.contract import AgentState
from baqup_agent.lifecycle.declaration import Lifecycle, State, Transition
from baqup_agent.lifecycle.history import History, Step
from baqup_agent.lifecycle.illegal import IllegalTransition, RefusedTransition
from baqup_agent.lifecycle.monitor import Monitor

#: Called with nothing on entering or leaving a state; whatever it needs it holds itself.
Effect = Callable[[], None]

#: Effects by the name of a leaf, a refined state or a phase; actions by that of a trigger.
Effects = Mapping[str, Sequence[Effect]]


class _Model:
    """Bears the current state; one attribute, readable from any thread without a lock."""

    state: str


class Machine:
    """A running lifecycle.

    Args:
        lifecycle: the declaration.
        effects: what is called on entering a leaf, a refined state or a phase, in order; outer
            states come before inner ones, and one that was not left is not entered again.
        exits: what is called on leaving, inner states first.
        actions: what is called when the transitions of a trigger are taken, before anything is
            left: if one raises, nothing has changed.
        observer: called with each step after it took place and before the effects.
        clock: the source of the history's times.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        effects: Effects | None = None,
        *,
        exits: Effects | None = None,
        actions: Effects | None = None,
        observer: Callable[[Step], None] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.lifecycle = lifecycle
        self.history = History(clock or SystemClock())
        self.monitor = Monitor(lifecycle.state(lifecycle.initial).phase)
        self._observer = observer
        self._begin = _called(lifecycle.scopes(lifecycle.initial), effects)
        self._legal = {state.name: lifecycle.legal(state.name) for state in lifecycle.states}
        self._entries, self._leavings = _effects_by_edge(lifecycle, effects or {}, exits or {})
        self._actions = {trigger: tuple(called) for trigger, called in (actions or {}).items()}
        self._model = _Model()
        self._core = CoreMachine(
            model=self._model,
            states=[{"name": state.name} for state in lifecycle.states],
            transitions=[_row(edge) for edge in lifecycle.transitions],
            initial=lifecycle.initial,
            auto_transitions=False,
            send_event=True,
            queued=False,
            before_state_change=self._leave,
            after_state_change=self._enter,
        )

    @property
    def state(self) -> str:
        """The current leaf's name."""
        return self._model.state

    @property
    def phase(self) -> AgentState:
        """The contract's state that the current leaf is or refines."""
        return self.lifecycle.state(self.state).phase

    @property
    def final(self) -> bool:
        """Whether a final state was reached."""
        return self.lifecycle.state(self.state).final

    def begin(self) -> None:
        """Run the effects of the initial state, which no transition enters."""
        for effect in self._begin:
            effect()

    def fire(self, trigger: str, **payload: Any) -> None:
        """Take the transition of that name, and run the effects of what it enters.

        Args:
            trigger: its name.
            payload: what the transition's guards are called with.

        Raises:
            IllegalTransition: the state does not accept the trigger; nothing has changed.
            RefusedTransition: no guard of its edges let it pass; nothing has changed.
            Exception: whatever an effect raised. One on leaving has changed nothing; one on
                entering leaves the machine in the new state.
        """
        before = self._model.state
        if trigger not in self._legal[before]:
            raise IllegalTransition(before, trigger, self._legal[before], self.lifecycle.triggers)
        if not self._core.events[trigger].trigger(self._model, **payload):
            raise RefusedTransition(before, trigger, self._legal[before])

    def _leave(self, event: EventData) -> None:
        for action in self._actions.get(event.event.name, ()):
            action()
        edge: Any = event.transition  # set whenever a transition is taken
        for effect in self._leavings[edge.source, edge.dest]:
            effect()

    def _enter(self, event: EventData) -> None:
        edge: Any = event.transition
        step = self.history.record(event.event.name, edge.source, edge.dest)
        self.monitor.follow(step)
        if self._observer is not None:
            self._observer(step)
        for effect in self._entries[edge.source, edge.dest]:
            effect()


def _row(edge: Transition) -> dict[str, Any]:
    row: dict[str, Any] = {"trigger": edge.trigger, "source": edge.source, "dest": edge.target}
    guard = edge.guard
    if guard is not None:
        row["conditions"] = [lambda event: bool(guard(**event.kwargs))]
    return row


def _called(states: Iterable[State], effects: Effects | None) -> tuple[Effect, ...]:
    return tuple(effect for state in states for effect in (effects or {}).get(state.name, ()))


_Table = dict[tuple[str, str], tuple[Effect, ...]]


def _effects_by_edge(
    lifecycle: Lifecycle, effects: Effects, exits: Effects
) -> tuple[_Table, _Table]:
    """For each edge, what is entered and what is left, as the effects to call."""
    entries: _Table = {}
    leavings: _Table = {}
    for edge in lifecycle.transitions:
        left, entered = lifecycle.scopes(edge.source), lifecycle.scopes(edge.target)
        # A transition that stays leaves and enters its leaf, and nothing around it.
        shared = {state.name for state in left[:-1]} & {state.name for state in entered[:-1]}
        key = (edge.source, edge.target)
        entries[key] = _called((state for state in entered if state.name not in shared), effects)
        leavings[key] = _called(
            (state for state in reversed(left) if state.name not in shared), exits
        )
    return entries, leavings
