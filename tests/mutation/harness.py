"""Runs the test kit against machines that are wrong on purpose, and counts what it catches."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext

from attrs import field, frozen

from baqup_agent.lifecycle.declaration import Lifecycle
from baqup_agent.lifecycle.machine import Machine
from baqup_agent.testing.lifecycle import Case, suite_of


@frozen
class Mutant:
    """One thing that is wrong.

    Attributes:
        name: what it is.
        machine: makes the machine that has it.
        world: puts it into the rest of the package, for as long as it is open.
        near: the group, or the beginning of the ids, of the cases that are tried first, to save
            time; what is caught does not depend on the order.
    """

    name: str
    machine: Callable[..., Machine] = Machine
    world: Callable[[], AbstractContextManager[object]] = field(default=nullcontext)
    near: str = ""


@frozen
class Score:
    """How many of some mutants were caught.

    Attributes:
        kind: what they have in common.
        total: how many there were.
        survivors: the names of those that no case caught.
        catchers: how many each group of cases was the first to catch.
    """

    kind: str
    total: int
    survivors: tuple[str, ...]
    catchers: dict[str, int]

    def __str__(self) -> str:
        by = ", ".join(f"{group} {count}" for group, count in self.catchers.items())
        return f"{self.kind}: {self.total - len(self.survivors)} of {self.total} caught (by {by})"


def hunt(
    kind: str, lifecycle: Lifecycle, mutants: Iterable[Mutant], groups: frozenset[str] | None = None
) -> Score:
    """Let the kit loose on each mutant, and stop at the first case that turns red.

    Args:
        kind: what the mutants have in common.
        lifecycle: the declaration that they should have followed.
        mutants: what is hunted.
        groups: the groups of cases that take part; all by default.
    """
    survivors: list[str] = []
    catchers: dict[str, int] = {}
    total = 0
    for mutant in mutants:
        total += 1
        with mutant.world():
            group = first_red(lifecycle, mutant.machine, groups, mutant.near)
        if group is None:
            survivors.append(mutant.name)
        else:
            catchers[group] = catchers.get(group, 0) + 1
    return Score(kind, total, tuple(survivors), catchers)


def first_red(
    lifecycle: Lifecycle,
    machine: Callable[..., Machine],
    groups: frozenset[str] | None = None,
    near: str = "",
) -> str | None:
    """The group of the first case that fails; None if all of them hold."""
    for case in _cases(lifecycle, machine, near):
        if groups is not None and case.group not in groups:
            continue
        try:
            case.check()
        except Exception:  # noqa: BLE001  whatever a test raises turns it red
            return case.group
    return None


def _cases(lifecycle: Lifecycle, machine: Callable[..., Machine], near: str) -> Iterable[Case]:
    cases = suite_of(lifecycle, machine=machine, examples=15).cases()
    if not near:
        return cases
    return sorted(cases, key=lambda case: case.group != near and not case.id.startswith(near))
