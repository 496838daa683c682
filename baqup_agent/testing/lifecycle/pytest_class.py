"""The suite of a lifecycle as a class that pytest collects."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from baqup_agent.agent import Agent
from baqup_agent.lifecycle.declaration import Lifecycle
from baqup_agent.lifecycle.machine import Machine
from baqup_agent.testing.lifecycle.subject import MachineFactory
from baqup_agent.testing.lifecycle.suite import Case, Suite, grouped, suite_of

#: A failure is told by its message; the way through the kit to it tells nothing.
__tracebackhide__ = True

#: What each group of tests says, in one sentence of truth.
_SAYS = {
    "pair": "A trigger in a leaf does what the declaration says, or nothing at all.",
    "pairs_of_leaf": "Each trigger in a leaf does what the declaration says, or nothing at all.",
    "unknown_trigger": "A trigger that the lifecycle does not have is illegal everywhere.",
    "way_to": "The shortest way leads to the leaf, whatever illegal is fired on it.",
    "way": "A way leads from the leaf to the final state, and no further.",
    "fault_in_effect": "An error in any effect leaves a machine that knows where it is.",
    "hard_fault_in_effect": "The same holds for an error that is no Exception.",
    "monitor": "The monitor follows the contract's steps from this phase, and no other.",
    "monitor_watches": "A machine that leaves the contract is noticed at once.",
    "suffixes": "What happens behind a pair depends on the leaf alone: no state is hidden.",
    "run": "A whole run through the driver keeps the contract's promises.",
    "exit_code": "An error in a leaf ends the run with the code of the contract's table.",
    "stop_signal": "A stop signal in a leaf does what the leaf's policy says.",
    "deadline": "Each deadline that holds in a leaf ends the run; an earlier stay's does not.",
    "bus_outage": "A bus that stays away costs the report, one that returns costs nothing.",
    "search": "No sequence that hypothesis finds breaks what holds for all.",
    "guard": "The machine does what the guard answers, whatever it is called with.",
}


def lifecycle_tests(
    agent: type[Agent] | Lifecycle,
    *,
    machine: MachineFactory = Machine,
    suffix_length: int | None = None,
    examples: int = 60,
) -> type[Any]:
    """Return a class of tests for a lifecycle; give it a name that pytest collects.

    Args:
        agent: an agent's class, or a lifecycle.
        machine: makes the machine under test, called as `Machine` is.
        suffix_length: how many triggers are fired behind every pair, in every order; by default
            three for a small lifecycle, otherwise what stays affordable.
        examples: how much hypothesis tries of each kind.

    Returns:
        The class. Its ``coverage`` tells what has been visited so far in this process.

    Raises:
        ModuleNotFoundError: pytest or hypothesis is not installed.
    """
    suite = suite_of(agent, machine=machine, suffix_length=suffix_length, examples=examples)
    namespace: dict[str, Any] = {
        f"test_{group}": _method(group, cases) for group, cases in grouped(suite.cases()).items()
    }
    namespace["test_coverage"] = _coverage_method(suite)
    name = f"Test{''.join(filter(str.isalnum, suite.subject.name.title()))}"
    if not isinstance(agent, Lifecycle):
        name = f"Test{agent.__name__}"
    namespace |= {
        "__doc__": f"Generated from the lifecycle of {suite.subject.name}.",
        "__module__": sys._getframe(1).f_globals.get("__name__", __name__),  # noqa: SLF001
        "coverage": suite.coverage,
        "suite": suite,
    }
    return type(name, (), namespace)


def _method(group: str, cases: Sequence[Case]) -> Callable[..., None]:
    import pytest

    def test(self: object, case: Case) -> None:  # noqa: ARG001  a method, for pytest
        case.check()

    test.__name__ = test.__qualname__ = f"test_{group}"
    test.__doc__ = _SAYS[group]
    rows = [pytest.param(case, id=case.id) for case in cases]
    return pytest.mark.parametrize("case", rows)(test)


def _coverage_method(suite: Suite) -> Callable[..., None]:
    def test_coverage(self: object, record_property: Callable[[str, object], None]) -> None:  # noqa: ARG001
        """Every pair of leaf and trigger has been visited."""
        suite.complete_pairs()
        record_property("lifecycle_coverage", str(suite.coverage))
        print(suite.coverage)  # noqa: T201  pytest keeps it as the test's output

    return test_coverage
