"""The durable outbox: every event and status until the bus has acknowledged it (Contract §3).

{BAQUP_BUS_FALLBACK_DIR}/{job_id}/{agent_id}/
  outbox.json       whose it is
  00000001.jsonl    records, a segment after the other
  cursor            how far they are acknowledged, and what was refused
  reserve           disk space for a status
  lock              held for as long as the process lives
"""

from __future__ import annotations

from baqup_agent.bus.outbox.incarnation import Identity
from baqup_agent.bus.outbox.opening import open_outbox
from baqup_agent.bus.outbox.orphans import Found, adopt, outboxes
from baqup_agent.bus.outbox.outbox import Outbox
from baqup_agent.bus.outbox.record import Record
from baqup_agent.bus.outbox.room import LIMIT_BYTES, Sizes

__all__ = [
    "LIMIT_BYTES",
    "Found",
    "Identity",
    "Outbox",
    "Record",
    "Sizes",
    "adopt",
    "open_outbox",
    "outboxes",
]
