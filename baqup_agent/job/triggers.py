"""The triggers of an author's own leaves, as methods that type checkers know.

An author whose lifecycle has custom triggers declares them once more, as types:

    class Dump(Triggers):
        dumped: Trigger

and takes ``Job[Dump]`` in the role's method. ``job.lifecycle.dumped()`` is then checked without
a plug-in, and the class is held against the lifecycle when the agent's class is created.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args, get_type_hints

from baqup_agent.lifecycle.declaration import Lifecycle
from baqup_agent.lifecycle.refinement import LifecycleDeclarationError

#: A trigger of the author's: called with the payload of its guards, as keywords.
Trigger = Callable[..., None]


class Triggers:
    """Base of an author's declaration; by itself it has no triggers."""


class LiveTriggers(Triggers):
    """Stands in for any declaration at run time: every name is a method that fires it.

    Args:
        names: the triggers there are.
        fire: takes a name and a payload, and returns once the transition was taken; it is the one
            that knows what is legal.
    """

    def __init__(self, names: tuple[str, ...], fire: Callable[[str, dict[str, Any]], None]) -> None:
        self._names = names
        self._fire = fire

    def __getattr__(self, name: str) -> Trigger:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda **payload: self._fire(name, payload)

    def __dir__(self) -> list[str]:
        return list(self._names)


def declared_triggers(cls: type[Triggers]) -> frozenset[str]:
    """Return the names that a subclass of `Triggers` declares."""
    names: set[str] = set()
    for base in cls.__mro__:
        if issubclass(base, Triggers) and base is not Triggers:
            names |= set(base.__annotations__)
            names |= {name for name, value in vars(base).items() if callable(value)}
    return frozenset(name for name in names if not name.startswith("_"))


def check_declared(method: Callable[..., object], lifecycle: Lifecycle) -> None:
    """Hold the triggers that a role's annotation declares against its lifecycle.

    Args:
        method: a role whose job may be annotated as ``Job[SomeTriggers]``.
        lifecycle: what the agent declares.

    Raises:
        LifecycleDeclarationError: one side names a trigger that the other does not.
    """
    for declared in _annotated(method):
        names, custom = declared_triggers(declared), set(lifecycle.custom_triggers)
        for name in sorted(names ^ custom):
            where, missing = ("the lifecycle", declared.__name__)
            if name in names:
                where, missing = missing, where
            raise LifecycleDeclarationError(
                f"trigger {name!r} is declared by {where}, but not by {missing}; declare it in both"
            )


def _annotated(method: Callable[..., object]) -> list[type[Triggers]]:
    try:
        hints = get_type_hints(method)
    except NameError:  # names that only a type checker imports; it sees what we cannot
        return []
    arguments = [argument for hint in hints.values() for argument in get_args(hint)]
    return [each for each in arguments if isinstance(each, type) and issubclass(each, Triggers)]
