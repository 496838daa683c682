"""A text that was read: its data, and where in the text each member of it stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import frozen

from baqup_agent.lifecycle.formats.limits import MAX_BYTES, MAX_NESTING
from baqup_agent.lifecycle.formats.problems import LifecycleFormatError, Locate, Problem

#: Line and column, both from 1.
Place = tuple[int, int]


@frozen
class Text:
    """What a text holds.

    Attributes:
        data: dicts, lists, texts, numbers, booleans and None.
        locate: finds a member.
    """

    data: Any
    locate: Locate


#: Reads a text of one syntax.
Parser = Callable[[str], Text]


def malformed(text: str, at: Place | None = None) -> LifecycleFormatError:
    """Return the error for a text that cannot be read at all."""
    return LifecycleFormatError([Problem((), text, at)])


def check_size(text: str) -> None:
    """Refuse a text that is too long to be a lifecycle.

    Raises:
        LifecycleFormatError: it is.
    """
    if len(text) > MAX_BYTES:
        raise malformed(f"longer than {MAX_BYTES} bytes, the most that is read; declare less")


def nested_too_deeply(at: Place | None = None) -> LifecycleFormatError:
    """Return the error for brackets within brackets beyond all sense."""
    return malformed(f"nested more than {MAX_NESTING} levels deep; no lifecycle is", at)


def place_of(text: str, at: int) -> Place:
    """Return the line and column of a position."""
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
