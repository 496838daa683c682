"""The job's configuration as its author reads it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from baqup_agent.errors import ConfigError


class Unset(ConfigError, KeyError):
    """A variable was read that is not set and has no default."""

    __str__ = ConfigError.__str__


class Configuration(Mapping[str, Any]):
    """Values by variable name, coerced and with defaults; secrets are `Secret` objects.

    Reading one that is not set ends the job with exit code 64 and a line that names it; `get`
    and ``in`` work as for any mapping.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = dict(values)

    def __getitem__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            raise Unset(f"{name} is not set, and this job needs it; set it") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Configuration({', '.join(sorted(self._values))})"
