"""One run of the agent: what a check does to it, and what it waits for."""

from __future__ import annotations

import time
from collections.abc import Callable
from fnmatch import fnmatchcase
from signal import SIGKILL, Signals
from typing import NoReturn

from attrs import define, field

from baqup_agent.conformance.messages import Message
from baqup_agent.conformance.proxy import Proxy
from baqup_agent.conformance.seen import Seen
from baqup_agent.conformance.timeline import Entry
from baqup_agent.conformance.verdicts import CannotJudge, Violation

#: Seconds in which a state, a file or a message usually has to show.
WITHIN_S = 30.0

#: Seconds in which an agent usually has to end.
END_WITHIN_S = 60.0


@define(eq=False, kw_only=True)
class Run(Seen):
    """A run, live or over: what can be done to it, and waited for; `begin` makes it.

    Attributes:
        bus: the line between it and the bus; `Proxy.refuse` and its like spoil it.
    """

    bus: Proxy
    _deadline_s: float = field(alias="deadline_s")

    def signal(self, number: Signals) -> bool:
        """Send a signal to the agent's own process; False if it has ended."""
        return self._process.send(number)

    def signal_at(self, after_s: float, number: Signals) -> bool:
        """Send a signal so many seconds after its start; False if it ended before that."""
        self.timeline.wait(lambda: self.ended or None, self.started_at_s + after_s)
        return self.signal(number)

    def wait_for(self, *, state: str, within_s: float = WITHIN_S) -> Entry:
        """Wait until the bus has told a state; returns at once if it has been told before.

        Raises:
            Violation: the agent ended without it, or it was not in time.
        """

        def tells(one: Message) -> bool:
            return one.type == "heartbeat" and one.body.get("state") == state

        return self._await(
            lambda: self._first("message", lambda one: tells(one.data)),
            f"the state {state}",
            within_s,
        )

    def wait_for_message(
        self,
        kind: str,
        where: Callable[[Message], bool] = lambda _: True,
        *,
        within_s: float = WITHIN_S,
    ) -> Message:
        """Wait for a message of a type for which ``where`` is true; see `wait_for`."""
        found = self._await(
            lambda: self._first("message", lambda one: one.data.type == kind and where(one.data)),
            f"such a message of type {kind}",
            within_s,
        )
        message: Message = found.data
        return message

    def wait_for_file(self, pattern: str, *, within_s: float = WITHIN_S) -> Entry:
        """Wait until a file has appeared in the job's directory.

        Args:
            pattern: its path below the job's directory, with ``*`` and ``?``.
            within_s: seconds.

        Raises:
            Violation: the agent ended without it, or it was not in time.
        """
        full = f"{self.job_id}/{pattern}"
        return self._await(
            lambda: self._first(
                "file",
                lambda one: (
                    one.data[0] in ("created", "moved here", "written")
                    and fnmatchcase(one.data[1], full)
                ),
            ),
            f"the file {pattern}",
            within_s,
        )

    def wait_for_log(self, text: str, *, within_s: float = WITHIN_S) -> Entry:
        """Wait until a line of stderr has a text in it; see `wait_for`."""
        return self._await(
            lambda: self._first("stderr", lambda one: text in one.text),
            f"the text {text!r} on stderr",
            within_s,
        )

    def pause(self, seconds: float) -> bool:
        """Let time pass that a rule speaks of; ends sooner, with False, if the agent ends."""
        until_s = min(time.monotonic() + seconds, self._deadline_s)
        return self.timeline.wait(lambda: self.ended or None, until_s) is None

    def exit_code(self, *, within_s: float = END_WITHIN_S) -> int:
        """Wait for its end; return its code, or minus the number of the signal that ended it.

        Everything it wrote and published has been taken in after this.

        Raises:
            Violation: it has not ended in time; it is killed then.
        """
        until_s = min(time.monotonic() + within_s, self._deadline_s)
        status = self.timeline.wait(lambda: self._process.status, until_s)
        if status is None:
            self._process.send(SIGKILL)
            self._late("it did not end", within_s)
        self.settle()
        return status

    def fail(self, message: str) -> NoReturn:
        """Raise a `Violation` with the end of its stderr as evidence."""
        raise Violation(message, self._process.stderr.lines[-5:])

    def close(self) -> None:
        """End it and all that it started; harmless when repeated."""
        self._process.close()
        self._watch.close()
        self.bus.close()

    def _first(self, kind: str, fits: Callable[[Entry], bool]) -> Entry | None:
        return next((one for one in self.timeline.entries(kind) if fits(one)), None)

    def _await(self, look: Callable[[], Entry | None], what: str, within_s: float) -> Entry:
        until_s = min(time.monotonic() + within_s, self._deadline_s)
        found = self.timeline.wait(lambda: look() or (self.ended or None), until_s)
        if found is True:
            self.settle()  # it may have said so on its way out
            found = look()
            if found is None:
                self.fail(f"it ended ({self.end_words()}) before {what} was seen")
        if found is None:
            self._late(f"{what} was not seen", within_s)
        assert isinstance(found, Entry)  # noqa: S101  the two other cases are dealt with
        return found

    def _late(self, what: str, within_s: float) -> NoReturn:
        if time.monotonic() >= self._deadline_s:
            raise CannotJudge(f"the check took too long: when time was up, {what}")
        self.fail(f"{what} within {within_s:g} s")
