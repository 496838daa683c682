"""Generated refinements of the contract's lifecycle, for properties that hold of all of them."""

from __future__ import annotations

from hypothesis import strategies as st

from baqup_agent.lifecycle.declaration import CONTRACT, Lifecycle, SignalPolicy, State, Transition
from baqup_agent.lifecycle.formats import Named
from baqup_agent.lifecycle.refinement import refine

#: Some look like what YAML reads otherwise, or like a phase.
NAMES = ("a", "b", "no", "on", "null", "completing", "état", "_1e5")

TRIGGERS = ("go", "back", "skip", "yes", "complete", "start", "terminate", "fail")

named = st.sampled_from(["guards:ready", "a.b:Kind.method"]).map(Named)
seconds = st.none() | st.integers(1, 10**6) | st.floats(0, 1e9, exclude_min=True)
words = st.just("") | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@st.composite
def states(draw: st.DrawFn, name: str) -> State:
    """One leaf with any of the members that a leaf may have."""
    return State(
        name,
        timeout_s=draw(seconds),
        on_signal=draw(st.none() | st.sampled_from(SignalPolicy)),
        description=draw(words),
        expected_duration_s=draw(seconds),
        on_enter=draw(st.lists(named, max_size=2)),
        on_exit=draw(st.lists(named, max_size=1)),
    )


@st.composite
def lifecycles(draw: st.DrawFn) -> Lifecycle:
    """The contract's lifecycle, refined up to five times, anywhere and in any order."""
    lifecycle = CONTRACT
    for _ in range(draw(st.integers(0, 5))):
        live = [leaf.name for leaf in lifecycle.states if not leaf.final]
        outer = draw(st.sampled_from(live))
        names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
        others = [leaf.name for leaf in lifecycle.states if leaf.name != outer]
        edges = st.builds(
            Transition,
            st.sampled_from(TRIGGERS),
            st.sampled_from(names),
            st.sampled_from(names) | st.sampled_from(others),
            guard=st.none() | named,
            description=words,
        )
        lifecycle = refine(
            lifecycle,
            outer,
            initial=draw(st.sampled_from(names)),
            states=[draw(states(name)) for name in names],
            transitions=draw(st.lists(edges, max_size=6)),
        )
    return lifecycle
