"""What a failed check says: the triggers that were fired, what was wrong, and a picture of both."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen


@frozen
class Passed:
    """One firing that has been done.

    Attributes:
        label: the trigger, with what was special about it.
        leaf: where the model is afterwards.
    """

    label: str
    leaf: str


class LifecycleFailure(AssertionError):
    """The machine did what its declaration does not say.

    Attributes:
        triggers: what was fired, in order; the last one is what went wrong.
        problem: what was expected and what was seen.

    Args:
        start: where the machine began.
        passed: what was fired, and where the model was afterwards.
        problem: what was expected and what was seen.
        ended: whether the problem is with the whole, not with the last firing.
    """

    def __init__(
        self, start: str, passed: Sequence[Passed], problem: str, *, ended: bool = False
    ) -> None:
        self.triggers = tuple(each.label for each in passed)
        self.problem = problem
        fired = ", ".join(self.triggers) or "nothing"
        picture = "\n".join(_picture(start, passed, problem, ended=ended))
        super().__init__(f"{problem}\nfired: {fired}\n\n{picture}")


def _picture(start: str, passed: Sequence[Passed], problem: str, *, ended: bool) -> list[str]:
    lines = [f"  [{start}]"]
    here = start
    for number, each in enumerate(passed):
        last = number == len(passed) - 1 and not ended
        arrow = "x" if last else "▼"
        stays = " (stays)" if each.leaf == here else ""
        lines += [f"    │ {each.label}{stays}", f"    {arrow}"]
        if not stays or last:
            lines.append(f"  [{each.leaf}]" + (" was expected here" if last else ""))
        here = each.leaf
    return [*lines, f"    └─ {problem}"]
