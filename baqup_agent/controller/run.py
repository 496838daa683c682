"""One job from the outside: start the agent, watch it, verify what it published, judge.

For example::

    request = JobRequest(resolve_agent("fs"), "snapshot", staging=out, source=tree)
    report = run_job(request)
    assert report.verdict.outcome == "success"
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from baqup_agent.bus.url import PASSWORD_VARIABLE
from baqup_agent.clock import Clock, SystemClock
from baqup_agent.config.load import environment
from baqup_agent.contract import MANIFEST_NAME, LogLevel
from baqup_agent.controller.buses import open_bus
from baqup_agent.controller.earlier import Earlier
from baqup_agent.controller.guard import LifeGuard
from baqup_agent.controller.launch import AgentProcess, Exit
from baqup_agent.controller.logs import parse_log_line
from baqup_agent.controller.messages import BusMessage
from baqup_agent.controller.observe import Message
from baqup_agent.controller.output import OutputLine
from baqup_agent.controller.picture import JobPicture
from baqup_agent.controller.reader import BusReader
from baqup_agent.controller.request import JobPlan, JobRequest, make_plan
from baqup_agent.controller.stop import StopRequests
from baqup_agent.controller.verdict import Facts, Verdict, judge
from baqup_agent.controller.watcher import SilentWatcher, Watcher
from baqup_agent.errors import ConfigError, OutputError
from baqup_agent.staging.verification import Verification, verify

#: Seconds between two looks at everything.
_TICK_S = 0.1


@frozen
class JobReport:
    """What became of a job.

    Attributes:
        plan: what was started.
        exit: how the process ended.
        verdict: what to think of it.
        picture: the latest of all messages.
        status: the final status; None if there is none anywhere.
        orphan: whether that status came from the orphan file.
        verification: what the published directory holds; None if there is no manifest.
        duration_s: from the start to the end of the process, seconds.
        notes: what else is worth knowing, one line each.
        last_words: the last error that the agent logged, or else its last line on stderr.
    """

    plan: JobPlan
    exit: Exit
    verdict: Verdict
    picture: JobPicture
    status: Message | None
    orphan: bool
    verification: Verification | None
    duration_s: float
    notes: tuple[str, ...]
    last_words: str | None


def run_job(
    request: JobRequest,
    *,
    watcher: Watcher | None = None,
    stop: StopRequests | None = None,
    pass_on_signals: bool = False,
    clock: Clock | None = None,
    inherited: Mapping[str, str] | None = None,
) -> JobReport:
    """Run one job to its end, whatever that is.

    Args:
        request: what is asked for.
        watcher: is told what happens meanwhile.
        stop: a request made there is passed on to the agent as SIGTERM, once.
        pass_on_signals: make such requests of SIGINT, SIGTERM and SIGHUP while the agent runs;
            main thread only.
        clock: measures the times.
        inherited: the environment to take PATH and the like from; None takes the process's own.

    Returns:
        The report; whatever the agent does is in there and raises nothing.

    Raises:
        ConfigError: the request cannot be carried out as it is; nothing was started or made.
        OutputError: the root of staging is absent and cannot be created.
    """
    if request.published is not None:
        _check_published(request.published)
    outer = environment() if inherited is None else inherited
    with open_bus(request.bus_choice) as url:
        plan = make_plan(request, bus_url=url, inherited=outer)
        reader = _open_reader(plan)
        clock = clock or SystemClock()
        guard = LifeGuard(request.patience, clock)
        run = _Run(plan, reader, guard, watcher or SilentWatcher(), clock)
        return run.execute(stop or StopRequests(), pass_on_signals=pass_on_signals)


@define
class _Run:
    """One run in progress."""

    plan: JobPlan
    reader: BusReader
    guard: LifeGuard
    watcher: Watcher
    clock: Clock
    picture: JobPicture = field(factory=JobPicture)
    notes: list[str] = field(factory=list)
    last_error: str | None = None
    last_line: str | None = None
    stops: int = 0

    def execute(self, stop: StopRequests, *, pass_on_signals: bool) -> JobReport:
        _make_staging(self.plan.staging)
        earlier = Earlier.look(self.plan.directory)
        try:
            self.reader.start()
            if pass_on_signals:
                with stop.on_signals():
                    exit_, duration_s = self._live(stop)
            else:
                exit_, duration_s = self._live(stop)
        finally:
            self.reader.close()
        return self._report(exit_, duration_s, earlier)

    def _live(self, stop: StopRequests) -> tuple[Exit, float]:
        began = self.clock.monotonic()
        process = AgentProcess(self.plan.argv, self.plan.environment)
        try:
            self._greet(process.pid)
            while not process.wait(_TICK_S):
                self._pass_on(stop, process)
                self._look(process)
        except BaseException:
            # Nobody would be left to watch it: ask it to stop, and wait as for any other end.
            with contextlib.suppress(PermissionError):
                process.send(signal.SIGTERM)
            process.finish()
            raise
        duration_s = self.clock.monotonic() - began
        exit_ = process.finish()
        self._show_output(process)
        for message in self.reader.finish():
            self._take(message)
        self._show_notes()
        self._note_exit(exit_)
        self.watcher.ended(exit_)
        return exit_, duration_s

    def _greet(self, pid: int) -> None:
        self.watcher.started(self.plan, pid)
        for name in self.plan.withheld:
            self.watcher.notice(f"{name} of your environment is not passed on; use --env {name}=…")

    def _pass_on(self, stop: StopRequests, process: AgentProcess) -> None:
        while (cause := stop.take()) is not None:
            self.stops += 1
            if self.stops > 1:
                self.watcher.notice(f"{cause}: still waiting for the agent, process {process.pid}")
            else:
                self.watcher.notice(f"{cause}: {_terminate(process)}; waiting for it")

    def _look(self, process: AgentProcess) -> None:
        self._show_output(process)
        for message in self.reader.poll():
            self._take(message)
        self._show_notes()
        for text in self.guard.look(process, seeing=self.reader.seeing):
            self._note(text)
        self.watcher.tick(self.picture)

    def _take(self, message: BusMessage) -> None:
        for text in self.guard.take(message):
            self._note(text)
        self.picture.apply(message.wire, self.clock.monotonic())
        self.watcher.message(message.wire, self.picture)

    def _show_output(self, process: AgentProcess) -> None:
        lines, dropped = process.output()
        if dropped:
            self._note(f"{dropped} lines of the agent's output came too fast and are left out")
        for line in lines:
            self._remember(line)
            self.watcher.line(line)

    def _remember(self, line: OutputLine) -> None:
        if line.stream != "stderr" or not line.text.strip():
            return
        record = parse_log_line(line.text)
        if record is None:
            self.last_line = line.text
        elif record.level >= LogLevel.ERROR:
            self.last_error = record.message

    def _show_notes(self) -> None:
        for note in self.reader.notes():
            self._note(note)

    def _note(self, text: str) -> None:
        self.notes.append(text)
        self.watcher.notice(text)

    def _note_exit(self, exit_: Exit) -> None:
        if exit_.left_behind:
            self._note(f"the agent left {exit_.left_behind} of its processes running; killed")
        if not exit_.output_complete:
            self._note("a process that left the agent's group still holds its output open")
        if self.reader.unreadable:
            self._note(f"{self.reader.unreadable} messages on the bus could not be understood")

    def _report(self, exit_: Exit, duration_s: float, earlier: Earlier) -> JobReport:
        directory = self.plan.directory
        published = (directory / MANIFEST_NAME).exists()
        verification = verify(directory) if published else None
        orphan = earlier.newer_orphan(directory, self.plan.job_id)
        status = self.picture.status or orphan
        valid = verification is not None and verification.ok and verification.manifest is not None
        facts = Facts(
            job_id=self.plan.job_id,
            role=self.plan.role,
            exit_code=exit_.code,
            signal=exit_.signal,
            status=status,
            orphan=self.picture.status is None and orphan is not None,
            manifest=_wire(verification) if valid else None,
            problems=verification.problems if verification else (),
            manifest_is_older=earlier.manifest,
        )
        return JobReport(
            plan=self.plan,
            exit=exit_,
            verdict=judge(facts),
            picture=self.picture,
            status=status,
            orphan=facts.orphan,
            verification=verification,
            duration_s=duration_s,
            notes=tuple(self.notes),
            last_words=self.last_error or self.last_line,
        )


def _check_published(directory: Path) -> None:
    """Look before a job is started that has nothing to read, and leaves its own directory."""
    if (directory / MANIFEST_NAME).is_file():
        return
    if not directory.is_dir():
        found = "is no directory" if os.path.lexists(directory) else "does not exist"
    else:
        found = f"holds no {MANIFEST_NAME}, so nothing was published there"
    raise ConfigError(
        f"--from {str(directory)!r} {found}; name the directory of a job that ended well, "
        "STAGING/JOB_ID"
    )


def _open_reader(plan: JobPlan) -> BusReader:
    return BusReader(
        plan.bus_url,
        key_prefix=plan.key_prefix,
        job_id=plan.job_id,
        only_new=True,
        password=plan.environment.get(PASSWORD_VARIABLE),
    )


def _make_staging(root: Path) -> None:
    try:
        root.mkdir(exist_ok=True)
    except FileNotFoundError as error:
        raise OutputError(
            f"the staging directory {root} cannot be created: {root.parent} does not exist; "
            "create that first"
        ) from error
    except OSError as error:
        raise OutputError(
            f"the staging directory {root} cannot be used: {error.strerror}; "
            "name a directory that can be written"
        ) from error


def _terminate(process: AgentProcess) -> str:
    try:
        sent = process.send(signal.SIGTERM)
    except PermissionError:
        return "the agent runs as another user and takes no signal"
    return "passed on to the agent as SIGTERM" if sent else "the agent has ended"


def _wire(verification: Verification | None) -> dict[str, Any] | None:
    if verification is None or verification.manifest is None:
        return None
    return verification.manifest.to_wire()
