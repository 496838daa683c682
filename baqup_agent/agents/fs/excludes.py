"""Exclusion patterns with the meaning that git gives them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from baqup_agent.errors import ConfigError

#: Says whether a path, relative to the source, is left out; the flag marks a directory. It answers
#: for the path itself, so that none may be asked about that is inside an excluded directory.
Excluded = Callable[[bytes, bool], bool]

_ENCODING = sys.getfilesystemencoding()
_ERRORS = sys.getfilesystemencodeerrors()


def compile_excludes(patterns: Sequence[str]) -> Excluded | None:
    """Return what decides by ``BAQUP_SOURCE_EXCLUDE``; None where nothing is left out.

    A later pattern overrides an earlier one, ``!`` takes back, a final slash means directories
    only, a slash elsewhere ties the pattern to the source's root. As in git, nothing inside an
    excluded directory can be taken back: it is not entered.

    Raises:
        ConfigError: a pattern is malformed.
    """
    if not patterns:
        return None
    from baqup_agent.agents.fs.patterns import Patterns

    try:
        compiled = Patterns(patterns)
    except ValueError as error:
        raise ConfigError(
            f"BAQUP_SOURCE_EXCLUDE has a pattern that is none: {error}; "
            "write patterns as in a .gitignore file"
        ) from error
    if not compiled.picks:
        return None
    verdict = compiled.verdict

    def excluded(path: bytes, is_directory: bool) -> bool:  # noqa: FBT001  a plain predicate
        return verdict(path.decode(_ENCODING, _ERRORS), is_directory) is True

    return excluded
