"""A run laid over its lifecycle: what was visited and taken, how long, and how it ended."""

from __future__ import annotations

from collections import Counter, defaultdict
from difflib import get_close_matches
from enum import StrEnum

from attrs import field, frozen

from baqup_agent.contract import AgentState
from baqup_agent.lifecycle.declaration import Lifecycle, Transition
from baqup_agent.lifecycle.diagrams.captions import duration_text, printable
from baqup_agent.lifecycle.diagrams.trace import Trace, TracedStep, TraceError

#: An edge by its names: source, trigger, target.
EdgeKey = tuple[str, str, str]


class Mark(StrEnum):
    """What a run made of a state or an edge."""

    UNTOUCHED = "untouched"
    VISITED = "visited"
    CURRENT = "current"
    FAILED = "failed"


@frozen
class Overlay:
    """What one run did with a lifecycle.

    Attributes:
        spent_s: for each leaf that was visited, the sum of its stays in seconds.
        visits: how often each leaf was entered.
        taken: how often each edge was taken.
        current: the leaf in which a run stands that has not ended; None once it has.
        failing: the step that led to ``failed``, if one did.
        error_code: of a run that ended with an error.
        exit_code: of a run that has ended.
        notes: what people should know of the trace itself.
    """

    spent_s: dict[str, float]
    visits: dict[str, int]
    taken: dict[EdgeKey, int]
    current: str | None = None
    failing: TracedStep | None = None
    error_code: str | None = None
    exit_code: int | None = None
    notes: tuple[str, ...] = field(default=())

    def state_mark(self, name: str) -> Mark:
        """What became of a leaf, or of anything within a refined state."""
        inside = f"{name}."
        if self._is_within(self.current, name, inside):
            return Mark.CURRENT
        if self.failing and (
            self._is_within(self.failing.source, name, inside) or self.failing.target == name
        ):
            return Mark.FAILED
        visited = any(self._is_within(leaf, name, inside) for leaf in self.visits)
        return Mark.VISITED if visited else Mark.UNTOUCHED

    @staticmethod
    def _is_within(leaf: str | None, name: str, inside: str) -> bool:
        return leaf is not None and (leaf == name or leaf.startswith(inside))

    def edge_mark(self, edge: Transition) -> Mark:
        """Whether an edge was taken, or was the one that led to ``failed``."""
        if self.is_failing(edge):
            return Mark.FAILED
        key = (edge.source, edge.trigger, edge.target)
        return Mark.VISITED if self.taken.get(key) else Mark.UNTOUCHED

    def is_failing(self, edge: Transition) -> bool:
        """Whether the run ended in ``failed`` by this edge."""
        step = self.failing
        return step is not None and (step.source, step.trigger, step.target) == (
            edge.source,
            edge.trigger,
            edge.target,
        )

    def stay_text(self, name: str) -> str:
        """How long a run was in a leaf: ``3.2 s``, ``3.2 s in 4 visits``; empty if never."""
        visits = self.visits.get(name, 0)
        if not visits or name not in self.spent_s:
            return ""
        text = duration_text(self.spent_s[name])
        return text if visits == 1 else f"{text} in {visits} visits"

    @property
    def ending(self) -> str:
        """How the run ended or where it stands, as one phrase."""
        if self.exit_code is None:
            if self.current is None:
                return "no end in the trace"
            return f"stands in {self.current}, no end in the trace"
        if self.error_code:
            return f"ended with {printable(self.error_code)}, exit {self.exit_code}"
        return f"ended with exit {self.exit_code}"

    @property
    def failure_text(self) -> str:
        """What stands at the failing edge: the error's code and the exit code."""
        parts = [printable(self.error_code)] if self.error_code else []
        if self.exit_code is not None:
            parts.append(f"exit {self.exit_code}")
        return ", ".join(parts)


def overlay(lifecycle: Lifecycle, trace: Trace, *, until_s: float | None = None) -> Overlay:
    """Lay a run over the lifecycle that it was a run of.

    Args:
        lifecycle: the declaration.
        trace: the run.
        until_s: what counts as now, seconds of the run's own clock, for a run that goes on; the
            last instant that the trace knows of by default.

    Raises:
        TraceError: the trace has a leaf or a transition that the lifecycle does not.
    """
    _check(lifecycle, trace)
    spent: defaultdict[str, float] = defaultdict(float)
    state, since = trace.initial, trace.began_s
    for step in trace.steps:
        spent[state] += step.monotonic_s - since
        state, since = step.target, step.monotonic_s
    last_s = trace.last_s if until_s is None or trace.end else max(until_s, trace.last_s)
    if not lifecycle.state(state).final and last_s > since:
        spent[state] += last_s - since
    last = trace.steps[-1] if trace.steps else None
    failed = last is not None and last.target.partition(".")[0] == AgentState.FAILED
    running = trace.end is None and not lifecycle.state(state).final
    return Overlay(
        spent_s=dict(spent),
        visits=dict(Counter([trace.initial, *(step.target for step in trace.steps)])),
        taken=dict(Counter((step.source, step.trigger, step.target) for step in trace.steps)),
        current=state if running else None,
        failing=last if failed else None,
        error_code=trace.end.error_code if trace.end else None,
        exit_code=trace.end.exit_code if trace.end else None,
        notes=trace.notes,
    )


def _check(lifecycle: Lifecycle, trace: Trace) -> None:
    leaves = [state.name for state in lifecycle.states]
    if trace.initial != lifecycle.initial:
        raise TraceError(
            trace.path,
            None,
            f"the run began in {trace.initial!r}, this lifecycle begins in {lifecycle.initial!r}; "
            "draw the trace over the lifecycle of its own agent",
        )
    edges = {(edge.source, edge.trigger, edge.target) for edge in lifecycle.transitions}
    for step in trace.steps:
        if step.target not in leaves:
            raise TraceError(trace.path, step.line, _unknown(step.target, leaves))
        if (step.source, step.trigger, step.target) not in edges:
            raise TraceError(
                trace.path,
                step.line,
                f"the lifecycle has no {step.trigger!r} from {step.source!r} to {step.target!r}; "
                "draw the trace over the lifecycle of its own agent",
            )


def _unknown(name: str, leaves: list[str]) -> str:
    close = get_close_matches(name, leaves, n=1)
    hint = f"is {close[0]!r} its new name? " if close else ""
    return (
        f"the lifecycle has no leaf {name!r}; {hint}draw the trace over the lifecycle of its own "
        "agent"
    )
