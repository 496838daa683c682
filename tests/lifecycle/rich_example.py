"""A lifecycle that uses all that one can declare: two phases refined, one of them twice."""

from __future__ import annotations

from baqup_agent import CONTRACT, Lifecycle, State, Transition
from baqup_agent.lifecycle.refinement import refine


def more_tables(*, left: int = 0, **_: object) -> bool:
    """Whether tables are left to be dumped."""
    return left > 0


def still_changing(*, changed: bool = False, **_: object) -> bool:
    """Whether the source changed under the dump."""
    return changed


_WORK = refine(
    CONTRACT,
    "running",
    initial="connecting",
    states=[
        State("connecting", timeout_s=60, description="a snapshot of the database is opened"),
        State(
            "dumping",
            timeout_s=3000,
            expected_duration_s=900,
            description="every table, in its own artifact",
        ),
        State("verifying", timeout_s=300, description="row counts against the snapshot's"),
    ],
    transitions=[
        Transition("connected", "connecting", "dumping"),
        Transition("dumped", "dumping", "verifying"),
        Transition("again", "verifying", "dumping", guard=still_changing),
        Transition("complete", "verifying", "completing"),
    ],
)

_DUMP = refine(
    _WORK,
    "running.dumping",
    initial="schema",
    states=[
        State("schema", description="definitions, as SQL"),
        State("rows", timeout_s=1200, on_signal="finish", description="one table's rows"),
    ],
    transitions=[
        Transition("described", "schema", "rows"),
        Transition("next_table", "rows", "rows", guard=more_tables),
    ],
)

#: An agent that dumps a database, table by table.
RICH_EXAMPLE: Lifecycle = refine(
    _DUMP,
    "completing",
    initial="sealing",
    states=[
        State("sealing", timeout_s=40, description="checksums and manifest"),
        State("publishing", timeout_s=20, on_signal="finish", description="the atomic move"),
    ],
    transitions=[Transition("sealed", "sealing", "publishing")],
)
