"""Test kit for authors: fakes that pass the same suites as what they stand for, and tests."""

from __future__ import annotations

from baqup_agent.bus.memory_transport import MemoryTransport
from baqup_agent.testing.clock import ManualClock
from baqup_agent.testing.lifecycle import LifecycleFailure, lifecycle_tests

__all__ = ["LifecycleFailure", "ManualClock", "MemoryTransport", "lifecycle_tests"]
