"""The lifecycles whose machines are mutated: the contract's, and one with all there is."""

from __future__ import annotations

from baqup_agent.lifecycle.declaration import CONTRACT, State, Transition
from baqup_agent.lifecycle.refinement import refine


def _retry_asked(*, attempt: int = 1) -> bool:
    return isinstance(attempt, int) and attempt < 3


_DUMP = refine(
    CONTRACT,
    "running",
    initial="dumping",
    states=[State("dumping", timeout_s=600), State("compressing", on_signal="finish")],
    transitions=[
        Transition("dumped", "dumping", "compressing"),
        Transition("again", "compressing", "dumping", guard=_retry_asked),
        Transition("complete", "compressing", "completing"),
    ],
)

#: A refinement of a refinement, with a guard, a stutter, and leaves in two phases.
RICH = refine(
    refine(
        _DUMP,
        "running.dumping",
        initial="schema",
        states=[State("schema"), State("rows")],
        transitions=[
            Transition("next_table", "rows", "rows"),
            Transition("described", "schema", "rows"),
        ],
    ),
    "completing",
    initial="sealing",
    states=[State("sealing"), State("reporting")],
    transitions=[Transition("sealed", "sealing", "reporting")],
)

LIFECYCLES = {"contract": CONTRACT, "rich": RICH}
