"""What is tested: a declaration, the machine that runs it, and guards that the kit can steer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, evolve, field

from baqup_agent.lifecycle.declaration import Lifecycle, Transition
from baqup_agent.lifecycle.machine import Machine
from baqup_agent.testing.lifecycle.model import Model

#: Makes the machine under test; called as `Machine` is.
MachineFactory = Callable[..., Machine]


@define
class Switchboard:
    """Answers for every guard of a lifecycle, and notes which were asked and with what.

    Attributes:
        open: the indices of the edges whose guards say yes.
        asked: the indices of those that were asked, in order.
        payloads: what each of them was called with.
        own: guards of the author's that answer for their edges themselves.
    """

    open: frozenset[int] = frozenset()
    asked: list[int] = field(factory=list)
    payloads: list[dict[str, Any]] = field(factory=list)
    own: dict[int, Callable[..., bool]] = field(factory=dict)

    def guard(self, index: int) -> Callable[..., bool]:
        """Return the guard that stands for the one of edge ``index``."""

        def answer(**payload: Any) -> bool:
            self.asked.append(index)
            self.payloads.append(payload)
            if index in self.own:
                return self.own[index](**payload)
            return index in self.open

        return answer


@define
class Subject:
    """One lifecycle under test.

    Attributes:
        name: what reports call it.
        lifecycle: the declaration.
        machine: makes the machine under test.
        model: the oracle.
    """

    name: str
    lifecycle: Lifecycle
    machine: MachineFactory = Machine
    model: Model = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.model = Model(self.lifecycle)

    def steered(self, board: Switchboard) -> Lifecycle:
        """The declaration with every guard replaced by one that ``board`` answers for."""
        rows = enumerate(self.lifecycle.transitions)
        return evolve(
            self.lifecycle, transitions=tuple(_steered(index, row, board) for index, row in rows)
        )


def _steered(index: int, row: Transition, board: Switchboard) -> Transition:
    return row if row.guard is None else evolve(row, guard=board.guard(index))
