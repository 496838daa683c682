"""The lifecycle of Contract §1, declared as data, and the records that any lifecycle is made of.

Rules of the table:

* the contract's five states are the *phases*; a phase can be refined by *leaves*, named
  ``phase.leaf``, and a leaf again (see `baqup_agent.lifecycle.refinement`). A machine is always
  in exactly one leaf; an unrefined phase is its own leaf;
* each live phase has a deadline, which names the error that an expired one leads to;
* each phase says what a SIGTERM or SIGINT means there: ``abort`` the work, ``finish`` what was
  begun, or ``ignore``; a leaf may say otherwise;
* ``fail`` leads from every live leaf to ``failed``; a final state accepts no trigger at all;
* exit code 0 belongs to ``terminated`` alone: a usable but unreported or partial backup ends in
  ``failed`` with its own code.

Nothing here runs. `baqup_agent.lifecycle.machine` compiles the table, the diagrams draw it, the
runtime takes deadlines and signal policies from it, and the tests enumerate it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any

from attrs import Factory, field, frozen

from baqup_agent.contract import AgentState, ExitCode

#: Joins a phase's name and a leaf's.
SEPARATOR = "."


class SignalPolicy(StrEnum):
    """What a state makes of a request to stop (SIGTERM or SIGINT)."""

    ABORT = "abort"
    FINISH = "finish"
    IGNORE = "ignore"


@frozen
class Deadline:
    """The longest stay in a state, and what an expired one leads to.

    Exactly one of ``seconds`` and ``variable`` is set.

    Attributes:
        error_code: code of the error that the run then ends with.
        exit_code: its exit code.
        seconds: a fixed limit.
        variable: name of the environment variable that holds the limit in seconds.
    """

    error_code: str
    exit_code: ExitCode
    seconds: float | None = None
    variable: str | None = None

    def __attrs_post_init__(self) -> None:
        if (self.seconds is None) == (self.variable is None):
            raise ValueError("a deadline is given by seconds or by a variable, one of the two")

    def __str__(self) -> str:
        return f"{self.seconds:g} s" if self.seconds is not None else str(self.variable)


#: Called with the job on entering or leaving a leaf; short, and bounded by the leaf's deadline.
LeafEffect = Callable[[Any], None]

#: Called with the payload of a trigger; whether its transition may be taken.
Guard = Callable[..., bool]


def _optional_policy(word: str | None) -> SignalPolicy | None:
    return None if word is None else SignalPolicy(word)


def _effects(effects: Iterable[LeafEffect]) -> tuple[LeafEffect, ...]:
    return tuple(effects)


@frozen
class State:
    """One state: a phase of the contract, or a leaf that refines one.

    Attributes:
        name: its name; on the wire for a phase, ``phase.leaf`` once it refines one.
        timeout_s: a leaf's longest stay in seconds; the phase's own deadline holds all the same.
        on_signal: what SIGTERM and SIGINT mean while it lasts; None for what the phase says.
        description: what happens in it, in a few words.
        expected_duration_s: how long a stay should take, seconds; announced as the heartbeat's
            intent for as long as it lasts.
        on_enter: called with the job on entering, in order.
        on_exit: called with the job on leaving, in order.
        deadline: the longest stay and what an expired one leads to; filled in by a refinement.
        final: whether the run has ended once the state is reached.
    """

    name: str = field(converter=str)
    timeout_s: float | None = field(default=None, kw_only=True)
    on_signal: SignalPolicy | None = field(default=None, kw_only=True, converter=_optional_policy)
    description: str = field(default="", kw_only=True)
    expected_duration_s: float | None = field(default=None, kw_only=True)
    on_enter: tuple[LeafEffect, ...] = field(default=(), kw_only=True, converter=_effects)
    on_exit: tuple[LeafEffect, ...] = field(default=(), kw_only=True, converter=_effects)
    deadline: Deadline | None = field(default=None, kw_only=True)
    final: bool = field(default=False, kw_only=True)

    @property
    def phase(self) -> AgentState:
        """The contract's state that it is or refines."""
        return AgentState(self.name.split(SEPARATOR, 1)[0])

    @property
    def leaf(self) -> str | None:
        """Its name below the phase, None for a phase."""
        return self.name.partition(SEPARATOR)[2] or None


@frozen
class Transition:
    """One edge: ``trigger``, fired in ``source``, leads to ``target``.

    Attributes:
        trigger: its name.
        source: the state it is fired in.
        target: the state it leads to; the source itself for a transition that stays.
        guard: called with the trigger's payload; the edge is taken only if it returns true.
        description: when it is fired, in a few words.
    """

    trigger: str
    source: str = field(converter=str)
    target: str = field(converter=str)
    guard: Guard | None = field(default=None, kw_only=True)
    description: str = field(default="", kw_only=True)


def _states(states: Iterable[State]) -> tuple[State, ...]:
    return tuple(states)


def _transitions(transitions: Iterable[Transition]) -> tuple[Transition, ...]:
    return tuple(transitions)


def _by_name(lifecycle: Lifecycle) -> dict[str, State]:
    return {state.name: state for state in (*lifecycle.compounds, *lifecycle.states)}


def _outgoing(lifecycle: Lifecycle) -> dict[str, tuple[Transition, ...]]:
    rows: dict[str, list[Transition]] = defaultdict(list)
    for edge in lifecycle.transitions:
        rows[edge.source].append(edge)
    return {source: tuple(edges) for source, edges in rows.items()}


@frozen
class Lifecycle:
    """A whole declaration.

    Attributes:
        initial: the leaf in which a run begins.
        states: the leaves, in order.
        transitions: the edges between leaves, in order.
        compounds: states that were refined, outer before inner.
    """

    initial: str = field(converter=str)
    states: tuple[State, ...] = field(converter=_states)
    transitions: tuple[Transition, ...] = field(converter=_transitions)
    compounds: tuple[State, ...] = field(default=(), converter=_states)
    _states_by_name: dict[str, State] = field(
        init=False, eq=False, repr=False, default=Factory(_by_name, takes_self=True)
    )
    _edges_by_source: dict[str, tuple[Transition, ...]] = field(
        init=False, eq=False, repr=False, default=Factory(_outgoing, takes_self=True)
    )

    def state(self, name: str) -> State:
        """Return the leaf or refined state of that name; KeyError if there is none."""
        return self._states_by_name[name]

    def edges(self, source: str) -> tuple[Transition, ...]:
        """The edges that leave ``source``, in declaration order."""
        return self._edges_by_source.get(source, ())

    @property
    def triggers(self) -> tuple[str, ...]:
        """Every trigger, once, in order of first appearance."""
        return tuple(dict.fromkeys(edge.trigger for edge in self.transitions))

    @property
    def custom_triggers(self) -> tuple[str, ...]:
        """The triggers that are not the contract's: those the author's code fires."""
        return tuple(trigger for trigger in self.triggers if trigger not in CONTRACT.triggers)

    def legal(self, state: str) -> tuple[str, ...]:
        """The triggers that ``state`` accepts, once each, in declaration order."""
        return tuple(dict.fromkeys(edge.trigger for edge in self.edges(state)))

    def target(self, state: str, trigger: str) -> str | None:
        """Where the first edge of ``trigger`` leads from ``state``; None where it is illegal."""
        return next((edge.target for edge in self.edges(state) if edge.trigger == trigger), None)

    def scopes(self, name: str) -> tuple[State, ...]:
        """The states that ``name`` lies in, the phase first, itself last."""
        parts = name.split(SEPARATOR)
        paths = (SEPARATOR.join(parts[: depth + 1]) for depth in range(len(parts)))
        return tuple(self._states_by_name[path] for path in paths)

    def signal_policy(self, name: str) -> SignalPolicy:
        """What a request to stop means in ``name``: its own policy, or the nearest scope's."""
        policies = (state.on_signal for state in reversed(self.scopes(name)))
        return next(policy for policy in policies if policy is not None)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all states, refined ones first."""
        return tuple(self._states_by_name)

    def leaves(self, phase: AgentState) -> tuple[State, ...]:
        """The leaves of a phase, in order; the phase itself where it is not refined."""
        return tuple(state for state in self.states if state.phase is phase)

    def _repr_svg_(self) -> str:
        """The picture that a notebook shows."""
        from baqup_agent.lifecycle.diagrams.notebook import repr_svg

        return repr_svg(self)

    def _repr_html_(self) -> str:
        """The same, to be scrolled where it is large."""
        from baqup_agent.lifecycle.diagrams.notebook import repr_html

        return repr_html(self)


_INITIALIZING = AgentState.INITIALIZING
_RUNNING = AgentState.RUNNING
_COMPLETING = AgentState.COMPLETING
_TERMINATED = AgentState.TERMINATED
_FAILED = AgentState.FAILED

#: The contract's lifecycle.
CONTRACT = Lifecycle(
    initial=_INITIALIZING,
    states=(
        State(
            _INITIALIZING,
            on_signal=SignalPolicy.ABORT,
            deadline=Deadline("INITIALIZATION_TIMEOUT", ExitCode.RESOURCE_UNAVAILABLE, seconds=30),
            description="configuration validated, bus connected, first heartbeat sent",
        ),
        State(
            _RUNNING,
            on_signal=SignalPolicy.ABORT,
            deadline=Deadline(
                "JOB_TIMEOUT", ExitCode.GENERAL_FAILURE, variable="BAQUP_JOB_TIMEOUT"
            ),
            description="the work itself, heartbeats all along",
        ),
        State(
            _COMPLETING,
            on_signal=SignalPolicy.FINISH,
            deadline=Deadline("COMPLETION_TIMEOUT", ExitCode.IO_ERROR, seconds=60),
            description="checksums, manifest, publication, status",
        ),
        State(
            _TERMINATED,
            on_signal=SignalPolicy.IGNORE,
            description="exit code 0, status reported",
            final=True,
        ),
        State(
            _FAILED,
            on_signal=SignalPolicy.IGNORE,
            description="another exit code, error reported if that is possible",
            final=True,
        ),
    ),
    transitions=(
        Transition("start", _INITIALIZING, _RUNNING),
        Transition("complete", _RUNNING, _COMPLETING),
        Transition("terminate", _COMPLETING, _TERMINATED),
        Transition("fail", _INITIALIZING, _FAILED),
        Transition("fail", _RUNNING, _FAILED),
        Transition("fail", _COMPLETING, _FAILED),
    ),
)
