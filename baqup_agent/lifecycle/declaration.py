"""The lifecycle of Contract §1, declared as data.

Rules of the table:

* a state's name is its value on the wire; triggers are verbs;
* each live state has a deadline, which names the error that an expired one leads to;
* each state says what a SIGTERM or SIGINT means there: ``abort`` the work, ``finish`` what was
  begun, or ``ignore``;
* ``fail`` leads from every live state to ``failed``; a final state accepts no trigger at all;
* exit code 0 belongs to ``terminated`` alone: a usable but unreported or partial backup ends in
  ``failed`` with its own code.

Nothing here runs. `baqup_agent.lifecycle.machine` compiles the table, the diagrams draw it, the
runtime takes deadlines and signal policies from it, and the tests enumerate it.
"""

from __future__ import annotations

from enum import StrEnum

from attrs import field, frozen

from baqup_agent.contract import AgentState, ExitCode


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
        seconds: a fixed limit.
        variable: name of the environment variable that holds the limit in seconds.
        error_code: code of the error that the run then ends with.
        exit_code: its exit code.
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


@frozen
class State:
    """One state; without a deadline it is final.

    Attributes:
        name: the state's name, as it stands on the wire.
        on_signal: what SIGTERM and SIGINT mean while the state lasts.
        deadline: the longest stay; None for a final state.
        description: what happens in it, in a few words.
    """

    name: str = field(converter=str)
    on_signal: SignalPolicy
    deadline: Deadline | None
    description: str

    @property
    def final(self) -> bool:
        """Whether the run has ended once this state is reached."""
        return self.deadline is None


@frozen
class Transition:
    """One edge: ``trigger``, fired in ``source``, leads to ``target``."""

    trigger: str
    source: str = field(converter=str)
    target: str = field(converter=str)


@frozen
class Lifecycle:
    """A whole declaration: states, edges and the state in which a run begins."""

    initial: str = field(converter=str)
    states: tuple[State, ...]
    transitions: tuple[Transition, ...]

    def state(self, name: str) -> State:
        """Return the state of that name; KeyError if there is none."""
        for state in self.states:
            if state.name == name:
                return state
        raise KeyError(name)

    @property
    def triggers(self) -> tuple[str, ...]:
        """Every trigger, once, in order of first appearance."""
        return tuple(dict.fromkeys(edge.trigger for edge in self.transitions))

    def legal(self, state: str) -> tuple[str, ...]:
        """The triggers that ``state`` accepts, in declaration order."""
        return tuple(edge.trigger for edge in self.transitions if edge.source == state)

    def target(self, state: str, trigger: str) -> str | None:
        """Where ``trigger`` leads from ``state``; None where it is illegal."""
        for edge in self.transitions:
            if edge.source == state and edge.trigger == trigger:
                return edge.target
        return None


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
            name=_INITIALIZING,
            on_signal=SignalPolicy.ABORT,
            deadline=Deadline("INITIALIZATION_TIMEOUT", ExitCode.RESOURCE_UNAVAILABLE, seconds=30),
            description="configuration validated, bus connected, first heartbeat sent",
        ),
        State(
            name=_RUNNING,
            on_signal=SignalPolicy.ABORT,
            deadline=Deadline(
                "JOB_TIMEOUT", ExitCode.GENERAL_FAILURE, variable="BAQUP_JOB_TIMEOUT"
            ),
            description="the work itself, heartbeats all along",
        ),
        State(
            name=_COMPLETING,
            on_signal=SignalPolicy.FINISH,
            deadline=Deadline("COMPLETION_TIMEOUT", ExitCode.IO_ERROR, seconds=60),
            description="checksums, manifest, publication, status",
        ),
        State(
            name=_TERMINATED,
            on_signal=SignalPolicy.IGNORE,
            deadline=None,
            description="exit code 0, status reported",
        ),
        State(
            name=_FAILED,
            on_signal=SignalPolicy.IGNORE,
            deadline=None,
            description="another exit code, error reported if that is possible",
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
