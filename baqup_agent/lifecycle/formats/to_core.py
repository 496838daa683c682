"""A lifecycle as the arguments of a flat `transitions` machine."""

from __future__ import annotations

from typing import Any

from baqup_agent.lifecycle.declaration import Lifecycle, Transition
from baqup_agent.lifecycle.formats.named import UnresolvedName, reference


def to_transitions(lifecycle: Lifecycle) -> dict[str, Any]:
    """Return the keyword arguments for ``transitions.Machine``, ready for `json.dumps`.

    Guards are given by the dotted names that the library imports by itself, and are called with
    the payload of a trigger. Effects are left out: they take a job, which that machine has not.

    Args:
        lifecycle: what is exported; each leaf is a state under its full name.

    Raises:
        UnresolvedName: a guard has no name, or one that the library cannot import.
    """
    return {
        "states": [
            {"name": state.name, **({"final": True} if state.final else {})}
            for state in lifecycle.states
        ],
        "transitions": [_row(edge) for edge in lifecycle.transitions],
        "initial": lifecycle.initial,
        "auto_transitions": False,
        "send_event": False,
        "queued": False,
    }


def _row(edge: Transition) -> dict[str, Any]:
    row: dict[str, Any] = {"trigger": edge.trigger, "source": edge.source, "dest": edge.target}
    if edge.guard is not None:
        row["conditions"] = [_dotted(reference(edge.guard))]
    return row


def _dotted(name: str) -> str:
    module, _, function = name.partition(":")
    if "." in function:
        raise UnresolvedName(
            f"{name!r} cannot be exported to transitions, which imports functions of modules "
            "alone; define it at the top of a module"
        )
    return f"{module}.{function}"
