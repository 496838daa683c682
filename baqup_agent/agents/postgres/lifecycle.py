"""What ``running`` consists of: a look at the server, then dumps, or else loads."""

from __future__ import annotations

from baqup_agent import CONTRACT, Lifecycle, State, Transition, Trigger, Triggers, refine


class Steps(Triggers):
    """The triggers between the leaves below."""

    dump: Trigger
    seal: Trigger
    load: Trigger


#: The lifecycle of both roles: a snapshot dumps and seals, a restore loads.
LIFECYCLE: Lifecycle = refine(
    CONTRACT,
    "running",
    initial="inspecting",
    states=[
        State("inspecting", description="versions, databases and what was asked for are compared"),
        State("dumping", description="the globals and each database become an artifact"),
        State("sealing", description="databases that came or went meanwhile are told"),
        State("loading", description="verified dumps are restored into the target"),
    ],
    transitions=[
        Transition("dump", "inspecting", "dumping"),
        Transition("seal", "dumping", "sealing"),
        Transition("load", "inspecting", "loading"),
        Transition("complete", "sealing", "completing"),
        Transition("complete", "loading", "completing"),
    ],
)
