"""The job's configuration as its author reads it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from baqup_agent.errors import ConfigError

S = TypeVar("S")


class Unset(ConfigError, KeyError):
    """A variable was read that is not set and has no default."""

    __str__ = ConfigError.__str__


class Configuration(Mapping[str, Any]):
    """Values by variable name, coerced and with defaults; secrets are `Secret` objects.

    Reading one that is not set ends the job with exit code 64 and a line that names it; `get`
    and ``in`` work as for any mapping. `of` gives the same as typed settings.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = dict(values)

    def __getitem__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            raise Unset(f"{name} is not set, and this job needs it; set it") from None

    def of(self, settings: type[S]) -> S:
        """Return the settings as an object of the author's class (see `baqup_agent.config`).

        Args:
            settings: a class of settings that the agent declares; for type checkers the result is
                an object of just this class.

        Raises:
            ConfigError: a variable that the class requires is not set, which happens only if the
                agent does not declare it, or the class itself refuses the values.
        """
        from baqup_agent.config.records import record_of

        return record_of(settings, self._values)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Configuration({', '.join(sorted(self._values))})"
