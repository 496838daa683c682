"""A quick look ahead, so that progress can be told as a percentage."""

from __future__ import annotations

import os
import time

from baqup_agent.agents.fs.notes import silent
from baqup_agent.agents.fs.walk import Rules, Walk, What
from baqup_agent.errors import BaqupError
from baqup_agent.security.beneath import Tree

#: The look ahead ends without an answer after so many things …
_MOST_FILES = 50_000

#: … or after so many seconds.
_MOST_S = 2.0


def estimate_bytes(tree: Tree, rules: Rules) -> int | None:
    """Add up the sizes of the files that a walk finds.

    Returns:
        The bytes, None when there is too much to count quickly.
    """
    deadline_s = time.monotonic() + _MOST_S
    total = 0
    walk = Walk(tree, rules, silent)
    try:
        for found in walk:
            if walk.files > _MOST_FILES or time.monotonic() > deadline_s:
                return None
            if found.what is What.FILE:
                total += _size(found.leaf, found.directory)
    except BaqupError:
        return None  # the walk that counts will say what is wrong
    return total


def _size(leaf: bytes, directory: int) -> int:
    try:
        return os.stat(leaf, dir_fd=directory, follow_symlinks=False).st_size
    except OSError:
        return 0
