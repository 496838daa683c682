"""A publisher with an outbox of its own, which takes messages as records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from baqup_agent.bus.encoding import to_json
from baqup_agent.bus.messages import Event, Message, Status
from baqup_agent.bus.outbox import open_outbox
from baqup_agent.bus.publisher import Publisher
from tests.bus.samples import AGENT, JOB


class RecordPublisher(Publisher):
    """Publishes as `BusClient` does, without stamping."""

    def __init__(self, fallback: Path, *arguments: Any, **options: Any) -> None:
        self.outbox = open_outbox(fallback, job_id=JOB, agent_id=AGENT, key_prefix="baqup:")
        super().__init__(*arguments, outbox=self.outbox, **options)

    def publish(self, message: Message) -> None:
        if isinstance(message, Event | Status):
            severity = message.severity if isinstance(message, Event) else "fatal"
            self.outbox.append(message.kind, severity, to_json(message.to_wire()))
            self.wake()
        else:
            self.put(message.to_wire())

    @property
    def given_up(self) -> int:
        return self.rejected + sum(self.outbox.dropped.values())
