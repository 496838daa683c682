"""One run of the agent: what a check does to it, and what it sees of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from fnmatch import fnmatchcase
from itertools import groupby
from pathlib import Path
from signal import SIGKILL, Signals
from typing import Any, NoReturn

from attrs import frozen

from baqup_agent.conformance.bus_watch import BusWatch
from baqup_agent.conformance.messages import Message
from baqup_agent.conformance.oracle import output_faults, read_document
from baqup_agent.conformance.process import Process, Survivor, exit_words
from baqup_agent.conformance.proxy import Proxy
from baqup_agent.conformance.timeline import Entry, Timeline
from baqup_agent.conformance.verdicts import CannotJudge, Violation

#: Seconds in which a state, a file or a message usually has to show.
WITHIN_S = 30.0

#: Seconds in which an agent usually has to end.
END_WITHIN_S = 60.0


@frozen
class Place:
    """Where one run lives; all of it is fresh and removed afterwards.

    Attributes:
        root: holds everything else.
        staging: ``BAQUP_STAGING_DIR``.
        buffer: ``BAQUP_BUS_FALLBACK_DIR``.
        work: the run's own directory, ``{work}`` in conform.toml.
        home: ``HOME`` and the current directory.
        job_id: ``BAQUP_JOB_ID``.
        prefix: ``BAQUP_BUS_KEY_PREFIX``.
    """

    root: Path
    staging: Path
    buffer: Path
    work: Path
    home: Path
    job_id: str
    prefix: str


@frozen
class LogLine:
    """A line of stderr, and the JSON object that it is, or None."""

    text: str
    record: dict[str, Any] | None


@frozen
class RunRecord:
    """A run as a report keeps it.

    Attributes:
        command: the command line.
        environment: what the suite set, secrets masked.
        began_at_s: when it began, on the clock of its entries.
        entries: what was seen, by time.
        dropped: how many entries were too many.
    """

    command: tuple[str, ...]
    environment: dict[str, str]
    began_at_s: float
    entries: tuple[Entry, ...]
    dropped: int


class Run:
    """A run, live or over; `Lab.run` makes it.

    Attributes:
        timeline: all that was seen of it.
        bus: the line between it and the bus; `Proxy.refuse` and its like spoil it.
        place: its directories and names.
    """

    def __init__(
        self,
        *,
        command: tuple[str, ...],
        environment: dict[str, str],
        place: Place,
        timeline: Timeline,
        bus: Proxy,
        watch: BusWatch,
        process: Process,
        deadline_s: float,
    ) -> None:
        self.command = command
        self.environment = environment
        self.place = place
        self.timeline = timeline
        self.bus = bus
        self._watch = watch
        self._process = process
        self._deadline_s = deadline_s
        self._settled = False

    @property
    def pid(self) -> int:
        """The agent's process, as this machine counts."""
        return self._process.pid

    @property
    def job_id(self) -> str:
        """Its ``BAQUP_JOB_ID``."""
        return self.place.job_id

    @property
    def job_dir(self) -> Path:
        """Where it publishes."""
        return self.place.staging / self.place.job_id

    @property
    def started_at_s(self) -> float:
        """When its program began (after exec), on the monotonic clock, seconds."""
        return self._process.started_at_s

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self._process.status is not None

    @property
    def stdout(self) -> str:
        """What it wrote there so far, up to 8 MiB."""
        return self._process.stdout.text

    @property
    def stderr(self) -> str:
        """What it wrote there so far, up to 8 MiB."""
        return self._process.stderr.text

    @property
    def output(self) -> str:
        """Both."""
        return self.stdout + "\n" + self.stderr

    def signal(self, number: Signals) -> bool:
        """Send a signal to the agent's own process; False if it has ended."""
        return self._process.send(number)

    def signal_at(self, after_s: float, number: Signals) -> bool:
        """Send a signal so many seconds after its start; False if it ended before that."""
        while (remaining_s := self.started_at_s + after_s - time.monotonic()) > 0:
            if self.ended:
                return False
            time.sleep(min(remaining_s, 0.01))
        return self.signal(number)

    def wait_for(self, *, state: str, within_s: float = WITHIN_S) -> Entry:
        """Wait until the bus has told a state; returns at once if it has been told before.

        Raises:
            Violation: the agent ended without it, or it was not in time.
        """

        def tells(one: Entry) -> bool:
            message: Message = one.data
            return message.type == "heartbeat" and message.body.get("state") == state

        return self._await(
            lambda: self._first("message", tells),
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
        return self.timeline.wait(lambda: True if self.ended else None, until_s) is None

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

    def settle(self) -> None:
        """Take in what the ended agent left; `exit_code` does so."""
        if not self._settled:
            self._settled = True
            self._process.settle()
            self._watch.sync()

    def end_words(self) -> str:
        """Say how it ended, for a message."""
        status = self._process.status
        return "still running" if status is None else exit_words(status)

    def states(self) -> list[str]:
        """Return the states that it told, in its order.

        What it announced counts. The hash may be read ahead of the announcements; it is asked where
        an agent announces nothing.
        """
        told = self.messages("heartbeat", channel="notify")
        if not told:
            return [one.text for one in self.timeline.entries("state")]
        states = (str(one.body.get("state")) for one in told)
        return [state for state, _ in groupby(states)]

    def messages(self, *kinds: str, channel: str | None = None) -> list[Message]:
        """Return the messages, of some types, each one once unless a channel is named.

        Args:
            *kinds: ``heartbeat``, ``progress``, ``status``, ``event``; all if none is given.
            channel: ``notify`` or ``stored``: what was seen there, repetitions included.
        """
        found = [
            one
            for one in self._watch.messages()
            if (not kinds or one.type in kinds) and channel in (None, one.channel)
        ]
        if channel is None:
            return list({one.identity: one for one in reversed(found)}.values())[::-1]
        return found

    def status(self) -> dict[str, Any] | None:
        """Return its latest status message; None if the bus has none."""
        found = self.messages("status")
        return found[-1].body if found else None

    def orphan_status(self) -> Any:
        """Return the orphan status file's content; None if there is none (Contract §3).

        Raises:
            Violation: it is there and cannot be read.
        """
        return self._document(".baqup-status.json")

    def manifest(self) -> Any:
        """Return the manifest; None if there is none.

        Raises:
            Violation: it is there and cannot be read.
        """
        return self._document("manifest.json")

    def output_faults(self) -> list[str]:
        """Return all that is wrong with what it published; empty if it is valid."""
        return output_faults(self.job_dir, self.job_id)

    def log(self) -> list[LogLine]:
        """Return the lines of stderr; blank ones are no lines."""
        return [LogLine(one, _record(one)) for one in self._process.stderr.lines if one.strip()]

    def written(self) -> list[str]:
        """Return the paths of all that lies in its directories, its HOME included, sorted."""
        root = self.place.root
        return sorted(
            str(path.relative_to(root)) for top in self._tops() for path in top.rglob("*")
        )

    def survivors(self) -> list[Survivor]:
        """Return the living processes that it started, itself aside."""
        return self._process.survivors()

    def fail(self, message: str) -> NoReturn:
        """Raise a `Violation` with the end of its stderr as evidence."""
        raise Violation(message, self._process.stderr.lines[-5:])

    def record(self) -> RunRecord:
        """Return it as a report keeps it."""
        return RunRecord(
            self.command,
            self.environment,
            self.started_at_s,
            tuple(self.timeline.entries()),
            self.timeline.dropped,
        )

    def close(self) -> None:
        """End it and all that it started; harmless when repeated."""
        self._process.close()
        self._watch.close()
        self.bus.close()

    def _tops(self) -> list[Path]:
        return [self.place.staging, self.place.buffer, self.place.home, self.place.work]

    def _document(self, name: str) -> Any:
        path = self.job_dir / name
        if not path.is_symlink() and not path.exists():
            return None
        try:
            return read_document(path)
        except ValueError as error:
            raise Violation(str(error)) from error

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


def _record(line: str) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
