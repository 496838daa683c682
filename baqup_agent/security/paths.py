"""Boundaries of paths: resolve first, then compare (Contract §7).

A look at names only tells where a path leads at this moment. Code that writes where others can
swap directories must work through open descriptors instead.
"""

from __future__ import annotations

import os
from pathlib import Path

from baqup_agent.errors import PathEscape

StrPath = str | bytes | os.PathLike[str] | os.PathLike[bytes]


def validate_path(path: StrPath, boundary: StrPath) -> bool:
    """Tell whether ``path`` leads to a place inside ``boundary``, or to ``boundary`` itself.

    Both are resolved, links and ``..`` included; what does not exist yet is taken by its name. A
    relative path counts from the working directory. A path that cannot be resolved, because its
    links run in a circle for instance, is not inside.
    """
    return _inside(path, boundary) is not None


def require_inside(path: StrPath, boundary: StrPath) -> Path:
    """Return ``path`` resolved.

    Raises:
        PathEscape: it does not lead to a place inside ``boundary``; see `validate_path`.
    """
    resolved = _inside(path, boundary)
    if resolved is None:
        raise PathEscape(
            f"{os.fsdecode(path)!r} leads outside {os.fsdecode(boundary)!r}; "
            "use a path that stays inside, links resolved"
        )
    return resolved


def _inside(path: StrPath, boundary: StrPath) -> Path | None:
    resolved, limit = _resolve(path), _resolve(boundary)
    if resolved is None or limit is None or not resolved.is_relative_to(limit):
        return None
    return resolved


def _resolve(path: StrPath) -> Path | None:
    text = os.fsdecode(path)
    try:
        return Path(os.path.realpath(text, strict=True))
    except FileNotFoundError:
        # What exists of it is resolved, the rest follows by name; a dangling link is followed.
        return Path(os.path.realpath(text))
    except (OSError, ValueError):
        return None
