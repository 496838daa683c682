"""What ``running`` consists of: each database is copied, checked and sealed; or one is restored."""

from __future__ import annotations

from baqup_agent import CONTRACT, Lifecycle, State, Transition, Trigger, Triggers, refine


class Steps(Triggers):
    """The triggers between the leaves below."""

    copy: Trigger
    check: Trigger
    seal: Trigger
    restore: Trigger


#: The lifecycle of both roles. A database that fails hands over to the next one from any leaf.
LIFECYCLE: Lifecycle = refine(
    CONTRACT,
    "running",
    initial="inspecting",
    states=[
        State("inspecting", description="the databases are found; a backup is looked at"),
        State("copying", description="pages are copied to a scratch file by the backup API"),
        State("checking", description="the copy is checked for integrity"),
        State("sealing", description="the checked copy becomes an artifact"),
        State("restoring", description="artifacts are checked and put in their places"),
    ],
    transitions=[
        Transition("copy", "inspecting", "copying"),
        Transition("check", "copying", "checking"),
        Transition("seal", "checking", "sealing"),
        Transition("copy", "sealing", "copying", description="the next database"),
        Transition("copy", "copying", "copying", description="the last one could not be copied"),
        Transition("copy", "checking", "copying", description="the last one was damaged"),
        Transition("seal", "copying", "sealing", description="the last one could not be copied"),
        Transition("restore", "inspecting", "restoring"),
        Transition("complete", "sealing", "completing"),
        Transition("complete", "restoring", "completing"),
    ],
)
