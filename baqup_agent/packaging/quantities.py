"""Sizes as the contract writes them, in the words of Kubernetes and of compose."""

from __future__ import annotations

import re

from baqup_agent.errors import ConfigError

_SIZE = re.compile(r"(?P<number>[0-9]+)(?:(?P<unit>[KMGT])i?)?B?")


def kubernetes_quantity(size: str) -> str:
    """Return a size such as ``256M`` as a quantity such as ``256Mi``.

    The contract's units are binary, whichever way they are written; Kubernetes' ``M`` is not.

    Raises:
        ConfigError: it is no size.
    """
    number, unit = _parts(size)
    return f"{number}{unit}i" if unit else number


def compose_size(size: str) -> str:
    """Return a size such as ``256Mi`` as compose writes it: ``256m``.

    Raises:
        ConfigError: it is no size.
    """
    number, unit = _parts(size)
    return f"{number}{unit.lower() or 'b'}"


def _parts(size: str) -> tuple[str, str]:
    match = _SIZE.fullmatch(size)
    if match is None:
        raise ConfigError(f"{size!r} is no size; write it like 256M or 2G")
    return match["number"], match["unit"] or ""
