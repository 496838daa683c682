"""Which part of a tree a restore brings back."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from baqup_agent.errors import ConfigError

_ENCODING = sys.getfilesystemencoding()
_ERRORS = sys.getfilesystemencodeerrors()


def compile_only(patterns: Sequence[str]) -> Callable[[bytes, bool], bool] | None:
    """Return what decides by ``BAQUP_TARGET_ONLY``; None where everything is wanted.

    A pattern means what it means in a ``.gitignore``, but picks instead of leaving out: a
    directory with all that is in it, a name without a slash wherever it occurs, one with a slash
    at its place from the root; ``!`` takes back. What no pattern names itself goes with the
    directory that it stands in.

    Raises:
        ConfigError: a pattern is malformed.
    """
    if not patterns:
        return None
    from baqup_agent.agents.fs.patterns import Patterns

    try:
        verdict = Patterns(patterns).verdict
    except ValueError as error:
        raise ConfigError(
            f"BAQUP_TARGET_ONLY has a pattern that is none: {error}; "
            "write paths, or patterns as in a .gitignore file"
        ) from error

    def wanted(name: bytes, is_directory: bool) -> bool:  # noqa: FBT001  a plain predicate
        path = name.decode(_ENCODING, _ERRORS)
        said = verdict(path, is_directory)
        while said is None and "/" in path:
            path = path.rpartition("/")[0]
            said = verdict(path, True)  # noqa: FBT003  a hot path
        return said is True

    return wanted
