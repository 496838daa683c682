"""What ``bus watch`` writes where no picture can be drawn: lines for people, and JSON lines."""

from __future__ import annotations

import sys
import time

from attrs import define

from baqup_agent.cli.text import printable
from baqup_agent.cli.views.json_lines import write_json
from baqup_agent.cli.views.phrases import event_line, intent_line, progress_line, state_word
from baqup_agent.cli.views.plain import write
from baqup_agent.cli.views.watch_words import clock_of, job_word, life_line, remark
from baqup_agent.clock import SystemClock, timestamp
from baqup_agent.controller.fleet import AgentKey, AgentPicture, Fleet
from baqup_agent.controller.messages import BusMessage, Event, Heartbeat, Progress, Status

#: Seconds between two lines of progress of one agent.
PROGRESS_EVERY_S = 10.0


@define
class _Said:
    """What was written of one agent last."""

    state: str = ""
    intent: str = ""
    progress_s: float = 0.0


class PlainWatch:
    """Writes a line when something changes."""

    def __init__(self) -> None:
        self._said: dict[AgentKey, _Said] = {}

    def message(self, message: BusMessage, agent: AgentPicture) -> None:
        """Say what is new: a state, an intent, an event, the end; progress now and then."""
        said = self._said.setdefault(agent.key, _Said())
        text = self._text(message, agent, said)
        if text:
            self._say(clock_of(message), agent, text)

    def changed(self, agent: AgentPicture) -> None:
        """Say who is thought to be dead, and who is not any more."""
        if agent.ended:
            self._said.pop(agent.key, None)
        else:
            self._say(_now(), agent, life_line(agent))

    def notice(self, text: str) -> None:
        """Say what there is to say about the bus."""
        write(sys.stdout, f"{_now()} note: {printable(text)}")

    def tick(self, fleet: Fleet, *, seeing: bool) -> None:
        """Nothing changes by the clock alone."""

    def close(self) -> None:
        """Nothing to tidy up."""

    def once(self, fleet: Fleet) -> None:
        """Nothing: the lines have said it."""

    def _text(self, message: BusMessage, agent: AgentPicture, said: _Said) -> str:
        picture = agent.picture
        if isinstance(message, Event):
            return event_line(picture.events[message.code])
        if isinstance(message, Status):
            return " ".join(part for part in remark(agent) if part)
        if isinstance(message, Progress) and _is_due(said):
            return f"progress: {progress_line(picture)}"
        if isinstance(message, Heartbeat):
            before = (said.state, said.intent)
            said.state, said.intent = state_word(picture), intent_line(picture)
            if before != (said.state, said.intent):
                return f"{said.state}, intent: {said.intent}" if said.intent else said.state
        return ""

    def _say(self, clock: str, agent: AgentPicture, text: str) -> None:
        agent_id = printable(agent.key.agent_id or "?", 60)
        write(sys.stdout, f"{clock} {job_word(agent)} {agent_id} {text}")


class JsonWatch:
    """Writes every message as it was read, and every verdict, as one JSON object a line."""

    def message(self, message: BusMessage, agent: AgentPicture) -> None:  # noqa: ARG002
        """Write the message."""
        write_json(message.wire)

    def changed(self, agent: AgentPicture) -> None:
        """Write the verdict."""
        verdict = agent.verdict
        write_json(
            {
                "type": "liveness",
                "job_id": agent.key.job_id,
                "agent_id": agent.key.agent_id,
                "timestamp": timestamp(SystemClock().now()),
                "life": str(verdict.life),
                "age_seconds": round(verdict.age_s, 3),
                "action": None if verdict.action is None else str(verdict.action),
            }
        )

    def notice(self, text: str) -> None:
        """Say it on stderr: stdout is for machines."""
        write(sys.stderr, f"note: {printable(text)}")

    def tick(self, fleet: Fleet, *, seeing: bool) -> None:
        """Nothing changes by the clock alone."""

    def close(self) -> None:
        """Nothing to tidy up."""

    def once(self, fleet: Fleet) -> None:
        """Write what is thought of each agent."""
        for agent in fleet:
            self.changed(agent)


def _is_due(said: _Said) -> bool:
    now_s = time.monotonic()
    if now_s - said.progress_s < PROGRESS_EVERY_S:
        return False
    said.progress_s = now_s
    return True


def _now() -> str:
    return SystemClock().now().strftime("%H:%M:%S")
