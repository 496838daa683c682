"""What is wrong with a stored lifecycle: each fault with its place, all of them in one line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches

from attrs import frozen

from baqup_agent.lifecycle.refinement import LifecycleDeclarationError

#: The way to a member of a document: keys, and positions in lists.
Path = tuple[str | int, ...]

#: Finds the line and column of a member in the text it was read from, both from 1.
Locate = Callable[[Path], tuple[int, int] | None]

#: Problems that one message lists before it only counts them.
_SHOWN = 20

#: Characters of a value or key that a message repeats.
_REPEATED = 60


@frozen
class Problem:
    """One fault.

    Attributes:
        path: the member at fault.
        text: value, rule and remedy.
        at: line and column, both from 1, where the fault is known from the text alone.
    """

    path: Path
    text: str
    at: tuple[int, int] | None = None

    def line(self, locate: Locate | None) -> str:
        """The fault with all that is known of its place."""
        at = self.at or (locate(self.path) if locate else None)
        place = f"line {at[0]}, column {at[1]}" if at else ""
        return ": ".join(part for part in (place, written(self.path), self.text) if part)


class LifecycleFormatError(LifecycleDeclarationError):
    """A stored lifecycle cannot be read, or one cannot be stored.

    Args:
        problems: what is wrong, at least one.
        source: the file's name, if it is one.
        locate: finds a member in the text.

    Attributes:
        problems: each fault in a line of its own.
    """

    def __init__(
        self,
        problems: Sequence[Problem],
        *,
        source: str | None = None,
        locate: Locate | None = None,
    ) -> None:
        self.faults = tuple(problems)
        self.problems = tuple(problem.line(locate) for problem in problems)
        shown = "; ".join(self.problems[:_SHOWN])
        more = len(self.problems) - _SHOWN
        tail = f"; and {more} more" if more > 0 else ""
        super().__init__(f"{source}: {shown}{tail}" if source else f"{shown}{tail}")


def written(path: Path) -> str:
    """Return a path as text, for example ``states.running.transitions[2].guard``."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += ("." if text else "") + (step if step.isidentifier() else shortened(step))
    return text


def shortened(value: object) -> str:
    """Return a value as JSON would write it, in one line and not endless."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    text = repr(value[:_REPEATED] if isinstance(value, str) else _number(value))
    return text if len(text) <= _REPEATED else text[: _REPEATED - 1] + "…"


def _number(value: object) -> object:
    # A whole number of thousands of digits cannot even be written.
    big = isinstance(value, int) and value.bit_length() > _REPEATED
    return "a very large number" if big else value


def hint(name: str, known: Iterable[str]) -> str:
    """Return the known name that was probably meant, or all of them."""
    names = list(known)
    close = get_close_matches(name[:_REPEATED], names[:1000], n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    few = ", ".join(names[:8])
    return f"there are {few}" + (", …" if len(names) > 8 else "")  # noqa: PLR2004
