"""How much of a lifecycle the kit has visited, and how much there is."""

from __future__ import annotations

from attrs import define, field


@define
class Part:
    """One kind of thing that can be enumerated.

    Attributes:
        what: its name in the plural.
        total: how many there are.
        note: what the number leaves out, if anything.
        visited: those that were done.
    """

    what: str
    total: int
    note: str = ""
    visited: set[object] = field(factory=set)

    @property
    def percent(self) -> float:
        """Visited of all, 0 to 100."""
        return 100.0 * len(self.visited) / self.total if self.total else 100.0

    def __str__(self) -> str:
        text = f"{self.what}: {len(self.visited)} of {self.total} ({self.percent:.0f} %)"
        return f"{text}, {self.note}" if self.note else text


@define
class Coverage:
    """What one suite has done in this process.

    Attributes:
        name: what is tested.
        pairs: every leaf against every trigger.
        edges: every row of the declaration.
        suffixes: every pair followed by every sequence of the length in its note.
        fault_positions: every effect of every edge, with an error in it.
        exit_paths: every error in every live leaf, through the driver.
    """

    name: str
    pairs: Part
    edges: Part
    suffixes: Part
    fault_positions: Part
    exit_paths: Part

    @property
    def parts(self) -> tuple[Part, ...]:
        """All of it, in the order in which it is told."""
        return (self.pairs, self.edges, self.suffixes, self.fault_positions, self.exit_paths)

    def __str__(self) -> str:
        return "\n".join([f"lifecycle of {self.name}", *(f"  {part}" for part in self.parts)])
