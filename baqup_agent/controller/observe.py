"""A message as it stands on the wire: what an agent says about one job (Contract §3).

What comes over the bus was written by another program. The members are taken as they come: whoever
uses one checks its type. `baqup_agent.controller.messages` has the typed form.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from baqup_agent.controller.messages import Malformed, about, read_json

#: One message as an agent wrote it: members by name.
Message = Mapping[str, Any]


def decode_message(raw: bytes, job_id: str) -> Message | None:
    """Return the message that a JSON text holds; None if it is none about this job."""
    try:
        return about(job_id, read_json(raw)).wire
    except Malformed:
        return None
