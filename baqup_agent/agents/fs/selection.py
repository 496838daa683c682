"""Which part of a tree a restore brings back."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from baqup_agent.errors import ConfigError


def compile_only(patterns: Sequence[str]) -> Callable[[bytes, bool], bool] | None:
    """Return what decides by ``BAQUP_TARGET_ONLY``; None where everything is wanted.

    A pattern means what it means in a ``.gitignore``, but picks instead of leaving out: a
    directory with all that is in it, a name without a slash wherever it occurs, one with a slash
    at its place from the root; ``!`` takes back.

    Raises:
        ConfigError: a pattern is malformed.
    """
    if not patterns:
        return None
    from pathspec import GitIgnoreSpec

    try:
        spec = GitIgnoreSpec.from_lines(patterns)
    except ValueError as error:
        raise ConfigError(
            f"BAQUP_TARGET_ONLY has a pattern that is none: {error}; "
            "write paths, or patterns as in a .gitignore file"
        ) from error

    def wanted(name: bytes, is_directory: bool) -> bool:  # noqa: FBT001  a plain predicate
        text = os.fsdecode(name + b"/" if is_directory else name)
        # Patterns are lines, so to them a line break in a name is a character like any other.
        return spec.match_file(text.replace("\n", "\0"))

    return wanted
