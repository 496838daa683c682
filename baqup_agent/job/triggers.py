"""The triggers of an author's own leaves, as methods that type checkers know.

An author whose lifecycle has custom triggers declares them once more, as types:

    class Dump(Triggers):
        dumped: Trigger

and takes ``Job[Dump]`` in the role's method. ``job.lifecycle.dumped()`` is then checked without
a plug-in, and the class is held against the lifecycle when the agent's class is created.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: A trigger of the author's: called with the payload of its guards, as keywords.
Trigger = Callable[..., None]


class Triggers:
    """Fires the custom triggers of a lifecycle, each as a method.

    Args:
        names: the triggers there are.
        fire: takes a name and a payload, and returns once the transition was taken.
    """

    def __init__(self, names: tuple[str, ...], fire: Callable[[str, dict[str, Any]], None]) -> None:
        self.__names = names
        self.__fire = fire

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def trigger(**payload: Any) -> None:
            self.__fire(name, payload)

        return trigger

    def __dir__(self) -> list[str]:
        return list(self.__names)


def declared_triggers(cls: type[Triggers]) -> frozenset[str]:
    """Return the names that a subclass of `Triggers` declares."""
    names: set[str] = set()
    for base in cls.__mro__:
        if issubclass(base, Triggers) and base is not Triggers:
            names |= set(base.__annotations__)
            names |= {name for name, value in vars(base).items() if callable(value)}
    return frozenset(name for name in names if not name.startswith("_"))
