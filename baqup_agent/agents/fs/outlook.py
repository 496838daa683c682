"""How large the source is, how much of it is done, and how long the rest will take.

A second walk counts ahead of the one that archives: for a moment before it begins, and then for a
small share of the time. A small tree is known at once; a large one becomes known after a while, if
its files are so large that counting is quicker than archiving. Until then no percentage and no
remaining time is told: free space and inodes of the filesystem would be a guess at once, but of the
whole disk wherever the source is a bind mount, as it is in most containers.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

from baqup_agent.agents.fs.attributes import may_have_holes
from baqup_agent.agents.fs.notes import silent
from baqup_agent.agents.fs.walk import Found, Rules, Walk, What
from baqup_agent.errors import BaqupError
from baqup_agent.security.beneath import Tree

#: Seconds of counting before the archiving begins.
FIRST_LOOK_S = 0.05

#: What a file costs beside its bytes, in the bytes that are archived in the same time.
FILE_COSTS = 4096

#: A remaining time is told once this share of the work is done, and this many seconds were spent.
SOUND_SHARE, SOUND_S = 0.02, 2.0

#: The most that is told before the end, which only the end makes certain.
_ALMOST = 0.99

_BLOCK = 512


class Outlook:
    """What is known of the whole.

    Args:
        tree: the source, by descriptors that nobody else uses.
        rules: what belongs to the backup.
        clock: tells seconds.
    """

    def __init__(
        self, tree: Tree, rules: Rules, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._walk = Walk(tree, rules, silent)
        self._ahead: Iterator[Found] | None = iter(self._walk)
        self._clock = clock
        self._work = 0
        self._known = False
        self._began_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def known(self) -> bool:
        """Whether everything was counted."""
        return self._known

    def look(self, seconds: float) -> None:
        """Count on, for at most so long."""
        if self._ahead is None:
            return
        until_s = self._clock() + seconds
        try:
            for found in self._ahead:
                if found.what is What.FILE:
                    self._work += FILE_COSTS + _bytes(found)
                if self._clock() >= until_s:
                    return
        except BaqupError:
            self.close()  # the walk that archives will say what is wrong
            return
        self._known = True
        self.close()

    def begin(self) -> None:
        """Note that the archiving begins now."""
        self._began_s = self._clock()

    def share(self, files: int, read_bytes: int) -> float | None:
        """Return how much is done, 0 to 0.99; None while the whole is not known."""
        if not self._known:
            return None
        done = files * FILE_COSTS + read_bytes
        return min(done / self._work, _ALMOST) if self._work else _ALMOST

    def remaining_s(self, share: float | None) -> float | None:
        """Return the seconds left; None until enough was done to judge by."""
        spent_s = self._clock() - self._began_s
        if share is None or share < SOUND_SHARE or spent_s < SOUND_S:
            return None
        return spent_s * (1 - share) / share

    def close(self) -> None:
        """Stop counting."""
        self._ahead = None
        self._walk.close()


def _bytes(found: Found) -> int:
    """What archiving a file reads: its holes not, and of several names one."""
    try:
        it = os.stat(found.leaf, dir_fd=found.directory, follow_symlinks=False)
    except OSError:
        return 0
    size = it.st_blocks * _BLOCK if may_have_holes(it) else it.st_size
    return size if found.followed else size // max(it.st_nlink, 1)
