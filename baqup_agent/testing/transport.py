"""The bus that remembers instead of sending."""

from __future__ import annotations

from baqup_agent.bus.memory_transport import MemoryTransport

__all__ = ["MemoryTransport"]
