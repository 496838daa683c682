"""What was found in an environment: values, and all that is wrong or odd about it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from baqup_agent.errors import ConfigError


class Finding(NamedTuple):
    """One thing that is wrong with a configuration.

    Attributes:
        path: the variable's name, and the index of an item of an array; empty for what concerns
            the configuration as a whole.
        keyword: the rule of JSON Schema that is broken, for example ``minimum``; ``unknown`` for
            a name that nothing declares, ``exists`` for a path that leads nowhere, ``rule`` for
            what no schema can say.
        message: one line with the variable, what was given (never a secret) and what is allowed.
    """

    path: tuple[str | int, ...]
    keyword: str
    message: str

    @property
    def variable(self) -> str:
        """The variable's name; empty for the configuration as a whole."""
        return str(self.path[0]) if self.path else ""


class Loaded(NamedTuple):
    """What an environment holds.

    Attributes:
        values: the usable variables with their defaults; paths are ``Path``, secrets `Secret`.
        findings: all that is wrong, sorted by variable.
        oddities: what is no mistake by itself, such as an unknown name, sorted by variable.
    """

    values: dict[str, Any]
    findings: tuple[Finding, ...] = ()
    oddities: tuple[Finding, ...] = ()

    @property
    def problems(self) -> tuple[str, ...]:
        """One line for each thing that is wrong."""
        return tuple(finding.message for finding in self.findings)

    @property
    def warnings(self) -> tuple[str, ...]:
        """One line for each oddity."""
        return tuple(finding.message for finding in self.oddities)

    def require(self) -> dict[str, Any]:
        """Return the values.

        Raises:
            ConfigError: there are problems; it lists them all.
        """
        if self.findings:
            raise ConfigError(*self.problems)
        return self.values

    def strict(self) -> Loaded:
        """Return the same with every oddity taken for a mistake."""
        return Loaded(self.values, in_order((*self.findings, *self.oddities)))


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings sorted by variable."""
    return tuple(sorted(findings, key=lambda finding: (finding.variable, finding.message)))
