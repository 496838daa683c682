"""The ways in which a check ends other than by returning, which means that the rule holds."""

from __future__ import annotations

from collections.abc import Sequence


class Violation(Exception):
    """The agent broke the rule.

    Args:
        message: one sentence: what was seen, and what the rule asks for instead.
        evidence: lines that show it; the runs' timelines are added by the suite.
    """

    def __init__(self, message: str, evidence: Sequence[str] | str = ()) -> None:
        super().__init__(message)
        self.message = message
        self.evidence = (evidence,) if isinstance(evidence, str) else tuple(evidence)


class NotApplicable(Exception):
    """The rule cannot be held against this agent, or not on this machine.

    Args:
        reason: why.
        stated: whether that is the reason which conform.toml gives.
    """

    def __init__(self, reason: str, *, stated: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.stated = stated


class CannotJudge(Exception):
    """The suite itself is at a loss: this is never the agent's fault."""


def require(holds: object, message: str, evidence: Sequence[str] | str = ()) -> None:
    """Raise a `Violation` unless ``holds`` is true."""
    if not holds:
        raise Violation(message, evidence)
