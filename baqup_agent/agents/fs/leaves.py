"""The leaves of agent-fs's ``running``: what its job is doing, told in every heartbeat.

Both roles begin by looking at what they were pointed at. A snapshot then archives and seals; a
restore goes its own way. Neither can complete before it came to its last leaf.
"""

from __future__ import annotations

from baqup_agent import CONTRACT, State, Transition, Trigger, Triggers, refine

LIFECYCLE = refine(
    CONTRACT,
    "running",
    initial="scanning",
    states=[
        State("scanning", description="the source is opened, and counted if it is small"),
        State("archiving", description="the tree is read into the archive"),
        State("sealing", description="the archive's end is compressed, hashed and synced"),
        State("restoring", description="a published archive is verified and extracted"),
    ],
    transitions=[
        Transition("scanned", "scanning", "archiving", description="role snapshot"),
        Transition("archived", "archiving", "sealing", description="everything was read"),
        Transition("recognised", "scanning", "restoring", description="role restore"),
    ],
)


class Leaves(Triggers):
    """The triggers of the leaves."""

    scanned: Trigger
    archived: Trigger
    recognised: Trigger
