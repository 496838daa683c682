"""Proves that a lifecycle refines the contract, or shows where it does not (Contract §1).

The rules stand in `baqup_agent.lifecycle.proof.rules`. They are looked at in stages: names and
edges first, then limits, and the ways through only once every name means something, so that one
misspelt leaf is not told as ten that cannot be reached.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from baqup_agent.lifecycle.declaration import Lifecycle
from baqup_agent.lifecycle.proof.edges import edges_hold
from baqup_agent.lifecycle.proof.limits import limits_hold
from baqup_agent.lifecycle.proof.rules import Finding, Severity
from baqup_agent.lifecycle.proof.shape import Shape
from baqup_agent.lifecycle.proof.states import states_hold
from baqup_agent.lifecycle.proof.ways import ways_hold
from baqup_agent.lifecycle.refinement import LifecycleDeclarationError

#: Rules without which the ways through mean nothing.
_GROUND = frozenset(
    {
        "unknown-phase",
        "duplicate-leaf",
        "missing-phase",
        "unknown-initial",
        "initial-phase",
        "unknown-source",
        "unknown-target",
    }
)

#: Errors that the message of an exception lists; the proof it carries has them all.
_LISTED = 20


@frozen
class Proof:
    """What came of looking at every rule.

    Attributes:
        lifecycle: what was looked at.
        findings: where it breaks a rule; errors first, then warnings.
    """

    lifecycle: Lifecycle
    findings: tuple[Finding, ...] = ()

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings because of which the lifecycle does not hold."""
        return self._of(Severity.ERROR)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The findings that its author should look at."""
        return self._of(Severity.WARNING)

    @property
    def ok(self) -> bool:
        """Whether the lifecycle refines the contract."""
        return not self.errors

    def _of(self, severity: Severity) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.severity is severity)


class LifecycleProofError(LifecycleDeclarationError):
    """A lifecycle is no refinement of the contract.

    Args:
        proof: what is wrong with it.
        name: what the lifecycle belongs to, for the message.
    """

    def __init__(self, proof: Proof, name: str | None = None) -> None:
        self.proof = proof
        self.name = name
        super().__init__(self._message())

    def _message(self) -> str:
        of = f"the lifecycle of {self.name}" if self.name else "the lifecycle"
        errors = self.proof.errors
        if len(errors) == 1:
            return f"{of} does not hold: {errors[0]}"
        lines = [f"{of} does not hold, in {len(errors):,} places:", *map(str, errors[:_LISTED])]
        if len(errors) > _LISTED:
            lines.append(f"{len(errors) - _LISTED:,} more are in this error's proof")
        return "\n  ".join(lines)


def prove(lifecycle: Lifecycle) -> Proof:
    """Look at every rule; any declaration is answered, in time linear in leaves and edges."""
    return Proof(lifecycle, tuple(sorted(_findings(Shape(lifecycle)), key=_gravity)))


def require_proof(lifecycle: Lifecycle, name: str | None = None) -> Proof:
    """Return the proof of a lifecycle that holds.

    Args:
        lifecycle: the declaration.
        name: what it belongs to, for the message.

    Raises:
        LifecycleProofError: it does not; every error is told.
    """
    proof = prove(lifecycle)
    if not proof.ok:
        raise LifecycleProofError(proof, name)
    return proof


def _findings(shape: Shape) -> Iterator[Finding]:
    first = [*states_hold(shape), *edges_hold(shape), *limits_hold(shape)]
    yield from first
    if _GROUND.isdisjoint(finding.rule for finding in first):
        yield from ways_hold(shape)


def _gravity(finding: Finding) -> bool:
    return finding.severity is Severity.WARNING
