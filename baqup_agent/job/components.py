"""The parts of a job that can fail one by one (Contract §5, partial failure)."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from attrs import define, field, frozen

from baqup_agent.contract import PartialFailureMode
from baqup_agent.errors import BaqupError


class ComponentStatus(StrEnum):
    """How one component ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"


@frozen
class Component:
    """One part of the work and what became of it.

    Attributes:
        name: the author's name for it, for example a database.
        error: why it failed; None when it succeeded.
        artifact: file name of the first artifact it wrote.
    """

    name: str
    error: BaqupError | None = None
    artifact: str | None = None

    def to_wire(self, mode: PartialFailureMode) -> dict[str, Any]:
        """Return the component as the status lists it."""
        if self.error is None:
            done = {"name": self.name, "status": str(ComponentStatus.SUCCEEDED)}
            return done if self.artifact is None else {**done, "artifact": self.artifact}
        skipped = mode is PartialFailureMode.SKIP
        status = ComponentStatus.SKIPPED if skipped else ComponentStatus.FAILED
        error = {"code": self.error.code, "message": self.error.message}
        return {"name": self.name, "status": str(status), "error": error}


@define
class Components:
    """All components of a job, in the order in which they ended."""

    _ended: list[Component] = field(factory=list, init=False)

    def add(self, component: Component) -> None:
        """Note how a component ended."""
        self._ended.append(component)

    def __bool__(self) -> bool:
        return bool(self._ended)

    @property
    def failed(self) -> tuple[Component, ...]:
        """Those that failed."""
        return tuple(component for component in self._ended if component.error is not None)

    @property
    def all_failed(self) -> bool:
        """Whether there were components and none succeeded."""
        return bool(self._ended) and len(self.failed) == len(self._ended)

    def summary(self) -> dict[str, int]:
        """Return the counts that the status states."""
        total, failed = len(self._ended), len(self.failed)
        return {"total": total, "succeeded": total - failed, "failed": failed}

    def to_wire(self, mode: PartialFailureMode) -> list[dict[str, Any]]:
        """Return the list that the status states."""
        return [component.to_wire(mode) for component in self._ended]
