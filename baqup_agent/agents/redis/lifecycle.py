"""What ``running`` consists of: the server makes a snapshot and sends it; or one is laid down."""

from __future__ import annotations

from baqup_agent import CONTRACT, Lifecycle, State, Transition, Trigger, Triggers, refine


class Steps(Triggers):
    """The triggers between the leaves below."""

    ask: Trigger
    receive: Trigger
    seal: Trigger
    restore: Trigger


#: The lifecycle of both roles.
LIFECYCLE: Lifecycle = refine(
    CONTRACT,
    "running",
    initial="inspecting",
    states=[
        State("inspecting", description="the server is asked what it is; a backup is looked at"),
        State("waiting", description="the server forks and begins its snapshot"),
        State("receiving", description="the RDB is checked and stored as it arrives"),
        State("sealing", description="what was received is complete, and described"),
        State("restoring", description="a verified RDB is put in its place"),
    ],
    transitions=[
        Transition("ask", "inspecting", "waiting"),
        Transition("receive", "waiting", "receiving"),
        Transition("seal", "receiving", "sealing"),
        Transition("restore", "inspecting", "restoring"),
        Transition("complete", "sealing", "completing"),
        Transition("complete", "restoring", "completing"),
    ],
)
