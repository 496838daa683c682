"""Compiles a declared lifecycle to a flat `transitions` machine.

The one module that imports `transitions`, and only its core. Callbacks are callables, sources are
explicit, and the library's own error hooks stay unused: a callback that raises leaves the machine
in the new state with the rest of the callbacks skipped, and it is the driver that then fires
``fail``. One thread fires triggers; any thread may read `Machine.state`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from transitions import EventData
from transitions import Machine as CoreMachine

from baqup_agent.clock import Clock, SystemClock
from baqup_agent.lifecycle.declaration import Lifecycle
from baqup_agent.lifecycle.history import History, Step
from baqup_agent.lifecycle.illegal import IllegalTransition

#: Called with nothing on entering a state; whatever it needs it holds itself.
Effect = Callable[[], None]


class _Model:
    """Bears the current state; one attribute, readable from any thread without a lock."""

    state: str


class Machine:
    """A running lifecycle.

    Args:
        lifecycle: the declaration.
        effects: for each state, what is called on entering it, in order.
        observer: called with each step after it took place and before the state's effects.
        clock: the source of the history's times.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        effects: Mapping[str, Sequence[Effect]] | None = None,
        *,
        observer: Callable[[Step], None] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.lifecycle = lifecycle
        self.history = History(clock or SystemClock())
        self._effects = {
            state.name: tuple((effects or {}).get(state.name, ())) for state in lifecycle.states
        }
        self._observer = observer
        self._model = _Model()
        self._core = CoreMachine(
            model=self._model,
            states=[
                {"name": name, "on_enter": [self._record, *map(_ignoring_event, called)]}
                for name, called in self._effects.items()
            ],
            transitions=[
                {"trigger": edge.trigger, "source": edge.source, "dest": edge.target}
                for edge in lifecycle.transitions
            ],
            initial=lifecycle.initial,
            auto_transitions=False,
            send_event=True,
            queued=False,
        )

    @property
    def state(self) -> str:
        """The current state's name."""
        return self._model.state

    @property
    def final(self) -> bool:
        """Whether a final state was reached."""
        return self.lifecycle.state(self.state).final

    def begin(self) -> None:
        """Run the effects of the initial state, which no transition enters."""
        for effect in self._effects[self.lifecycle.initial]:
            effect()

    def fire(self, trigger: str) -> None:
        """Take the transition of that name, and run the effects of the state it leads to.

        Raises:
            IllegalTransition: the state does not accept the trigger; nothing has changed.
            Exception: whatever an effect raised; the machine is in the new state then.
        """
        legal = self.lifecycle.legal(self.state)
        if trigger not in legal:
            raise IllegalTransition(self.state, trigger, legal, self.lifecycle.triggers)
        self._core.events[trigger].trigger(self._model)

    def _record(self, event: EventData) -> None:
        edge: Any = event.transition  # set whenever a state is entered
        step = self.history.record(event.event.name, edge.source, edge.dest)
        if self._observer is not None:
            self._observer(step)


def _ignoring_event(effect: Effect) -> Callable[[Any], None]:
    def call(_event: EventData) -> None:
        effect()

    return call
