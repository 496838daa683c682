"""Takes the outboxes from a forked child: their files and locks are the parent's."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Owner(Protocol):
    """Something that the child of a fork must let go of."""

    def disown(self) -> None:
        """Have nothing to do with the parent's files."""


_opened: weakref.WeakSet[Owner] = weakref.WeakSet()


class _AtFork:
    """Registers the handler once, when the first outbox is opened: importing changes nothing."""

    registered = False


def track(owner: Owner) -> None:
    """Have it disowned in every child that is forked from here on."""
    if not _AtFork.registered:
        _AtFork.registered = True
        os.register_at_fork(after_in_child=_disown_all)
    _opened.add(owner)


def _disown_all() -> None:
    for owner in list(_opened):
        owner.disown()
