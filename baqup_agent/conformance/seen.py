"""What has been seen of one run of the agent, whether it lives or is over."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from baqup_agent.conformance.bus_watch import BusWatch
from baqup_agent.conformance.messages import Message, parse_text
from baqup_agent.conformance.oracle import output_faults, read_document
from baqup_agent.conformance.process import Process, Survivor, exit_words
from baqup_agent.conformance.timeline import Entry, Timeline
from baqup_agent.conformance.verdicts import Violation


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


def _log_line(text: str) -> LogLine:
    """Read a line of stderr."""
    record = parse_text(text)
    return LogLine(text, record if isinstance(record, dict) else None)


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


@define(eq=False, kw_only=True)
class Seen:
    """All that the suite's witnesses tell of a run.

    Attributes:
        command: its command line.
        environment: what the suite set, secrets masked.
        place: its directories and names.
        timeline: all that was seen of it.
    """

    command: tuple[str, ...]
    environment: dict[str, str]
    place: Place
    timeline: Timeline
    _watch: BusWatch = field(alias="watch")
    _process: Process = field(alias="process")
    _settled: bool = field(default=False, init=False)

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
        return [_log_line(one) for one in self._process.stderr.lines if one.strip()]

    def written(self) -> list[str]:
        """Return the paths of all that lies in its directories, its HOME included, sorted."""
        root = self.place.root
        return sorted(
            str(path.relative_to(root)) for top in self._tops() for path in top.rglob("*")
        )

    def survivors(self) -> list[Survivor]:
        """Return the living processes that it started, itself aside."""
        return self._process.survivors()

    def record(self) -> RunRecord:
        """Return it as a report keeps it."""
        return RunRecord(
            self.command,
            self.environment,
            self.started_at_s,
            tuple(self.timeline.entries()),
            self.timeline.dropped,
        )

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
