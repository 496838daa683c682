"""Test kit for authors: fakes that pass the same suites as what they stand for."""

from __future__ import annotations

from baqup_agent.bus.memory_transport import MemoryTransport
from baqup_agent.testing.clock import ManualClock

__all__ = ["ManualClock", "MemoryTransport"]
