"""The rules that a lifecycle is proven by, as a table, and what breaking one is told as.

An error means that the lifecycle is no refinement of the contract, or that a run of it could not
come to a proper end. A warning means that a run can hang until its outermost deadline, or that a
figure contradicts another; the lifecycle holds all the same.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import StrEnum
from itertools import islice

from attrs import frozen


class Severity(StrEnum):
    """How grave a finding is."""

    ERROR = "error"
    WARNING = "warning"


@frozen
class Rule:
    """One rule.

    Attributes:
        id: its name, for machines and for searching.
        severity: what breaking it amounts to.
        statement: what holds when it is kept.
    """

    id: str
    severity: Severity
    statement: str


_ERROR, _WARNING = Severity.ERROR, Severity.WARNING

#: Every rule by its name, in the order in which they are looked at.
RULES = {
    rule.id: rule
    for rule in (
        # Told by whoever builds one; what is built is then looked at.
        Rule("declaration", _ERROR, "the lifecycle can be built as it is declared"),
        # The states.
        Rule("unknown-phase", _ERROR, "a state's name begins with one of the contract's phases"),
        Rule("leaf-name", _ERROR, "a state's name is made of identifiers that dots join"),
        Rule("duplicate-leaf", _ERROR, "no two states have the same name"),
        Rule("missing-scope", _ERROR, "what a leaf lies in is declared as a refined state"),
        Rule("empty-scope", _ERROR, "a refined state has leaves"),
        Rule("final-refined", _ERROR, "a final phase is not refined"),
        Rule("final-phase", _ERROR, "the final states are 'terminated' and 'failed'"),
        Rule("missing-phase", _ERROR, "each phase of the contract is there"),
        # The edges, one by one.
        Rule("unknown-initial", _ERROR, "the initial leaf exists"),
        Rule("initial-phase", _ERROR, "a run begins in the phase in which the contract's begins"),
        Rule("trigger-name", _ERROR, "a trigger can be fired as a method of that name"),
        Rule("unknown-source", _ERROR, "an edge leaves an existing leaf"),
        Rule("unknown-target", _ERROR, "an edge leads to an existing leaf"),
        Rule("final-exit", _ERROR, "no edge leaves a final state"),
        Rule("custom-across-phases", _ERROR, "a trigger of the author's stays within its phase"),
        Rule("contract-trigger-inside", _ERROR, "a trigger of the contract changes the phase"),
        Rule("contract-edge", _ERROR, "a change of phase is an edge of the contract"),
        Rule("fail-accepted", _ERROR, "each live leaf accepts 'fail', without a guard"),
        Rule("duplicate-edge", _ERROR, "an edge is declared once"),
        Rule("shadowed-edge", _ERROR, "each edge of a trigger can be taken"),
        # The ways through.
        Rule("unreachable", _ERROR, "a way leads from the initial leaf to each leaf"),
        Rule("cannot-terminate", _ERROR, "a way leads from each live leaf to 'terminated'"),
        Rule("guard-trap", _WARNING, "where only guards let a run on, a fixed limit bounds it"),
        Rule("endless-loop", _WARNING, "a loop that no guard breaks has a fixed limit in it"),
        Rule("deaf-loop", _WARNING, "a loop can be stopped by a signal"),
        # The limits.
        Rule("signal-policy", _ERROR, "what a signal means is said for each live leaf"),
        Rule("phase-deadline", _ERROR, "a phase has the contract's limit, or a tighter one"),
        Rule("deadline-value", _ERROR, "a limit is a positive number of seconds"),
        Rule("deadline-lost", _ERROR, "a limit in seconds is also the deadline that is kept"),
        Rule("deadline-exceeds", _ERROR, "a limit is not longer than that of what it lies in"),
        Rule("deadline-exceeds-default", _WARNING, "a limit is not longer than a job by default"),
        Rule("expected-value", _ERROR, "an expected duration is a positive number of seconds"),
        Rule("expected-exceeds", _WARNING, "an expected duration is not longer than the limit"),
    )
}

#: Steps of a path that are shown at each end of a long one.
_SHOWN = 4

#: Longest name that a message repeats whole, characters.
_LONGEST = 120


@frozen
class Finding:
    """One place at which a lifecycle breaks a rule.

    Attributes:
        rule: the rule's name, a key of `RULES`.
        severity: an error, or a warning.
        leaf: the state that it is about; None if it is about none.
        message: what is wrong, on one line.
        remedy: what would put it right, on one line.
        path: the shortest way there from the initial leaf, leaves and triggers in turn, and then
            the offending edge or loop; empty if there is no such way.
    """

    rule: str
    severity: Severity
    leaf: str | None
    message: str
    remedy: str
    path: tuple[str, ...] = ()

    def __str__(self) -> str:
        shown = f" (path: {way_text(self.path)})" if self.path else ""
        return f"[{self.rule}] {self.message}; {self.remedy}{shown}"


def found(
    rule: str, leaf: str | None, message: str, remedy: str, path: Sequence[str] = ()
) -> Finding:
    """Return a finding against ``rule``, as grave as the table says; KeyError without such one."""
    return Finding(rule, RULES[rule].severity, leaf, message, remedy, tuple(path))


def way_text(path: Sequence[str]) -> str:
    """Write leaves and triggers in turn as ``a -go-> b``; the middle of a long way is left out."""
    ends = range(2, len(path), 2)
    hidden = len(ends) - 2 * _SHOWN
    if hidden <= 1:
        return " ".join([_plain(path[0]), *(_step(path, end) for end in ends)])
    first, last = ends[:_SHOWN], ends[-_SHOWN:]
    shown = [_step(path, end) for end in (*first, *last)]
    shown.insert(_SHOWN, f"… {hidden:,} more …")
    return " ".join([_plain(path[0]), *shown])


def _step(path: Sequence[str], end: int) -> str:
    return f"-{_plain(path[end - 1])}-> {_plain(path[end])}"


def quoted(name: object) -> str:
    """The name as Python writes it, so that it stays on one line; a very long one is cut."""
    text = str(name)
    return repr(text) if len(text) <= _LONGEST else f"{text[:_LONGEST]!r}…"


def listed(names: Collection[str], most: int = 6) -> str:
    """Write names behind one another, of many the first few."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(map(quoted, islice(names, most))) + more


def _plain(name: object) -> str:
    """The name as it is, or as Python writes it if that is the only way to keep it on one line."""
    text = str(name)
    cut = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return cut if cut.isprintable() else repr(cut)
