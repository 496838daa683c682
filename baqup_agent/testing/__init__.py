"""Test kit for authors: fakes that pass the same suites as what they stand for, and tests.

Names are loaded when they are first used: pytest imports this package in every run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from baqup_agent.lazy import lazy_names

if TYPE_CHECKING:
    from baqup_agent.testing.clock import ManualClock
    from baqup_agent.testing.conformance import conformance_tests
    from baqup_agent.testing.lifecycle import LifecycleFailure, lifecycle_tests
    from baqup_agent.testing.transport import MemoryTransport

__all__ = [
    "LifecycleFailure",
    "ManualClock",
    "MemoryTransport",
    "conformance_tests",
    "lifecycle_tests",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "LifecycleFailure": "lifecycle",
        "ManualClock": "clock",
        "MemoryTransport": "transport",
        "conformance_tests": "conformance",
        "lifecycle_tests": "lifecycle",
    },
)
