"""The job as its author's code sees it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import IO, Any, BinaryIO, Generic, TypeVar, cast

from attrs import define, field
from typing_extensions import TypeVar as TypeVarWithDefault

from baqup_agent.bus.events import EventLog
from baqup_agent.bus.heartbeat import Vitals
from baqup_agent.bus.messages import Intent
from baqup_agent.clock import Clock, SystemClock, timestamp
from baqup_agent.config.settings import Settings
from baqup_agent.contract import Role
from baqup_agent.errors import JobCancelled, classify, describe
from baqup_agent.job.cancellation import CancellationToken
from baqup_agent.job.components import Component, Components
from baqup_agent.job.configuration import Configuration
from baqup_agent.job.process import ChildProcesses, Sink
from baqup_agent.job.progress import Progress
from baqup_agent.job.retry import Retry
from baqup_agent.job.triggers import Triggers
from baqup_agent.observability.sink import LogSink
from baqup_agent.observability.tracing import Span, Tracing
from baqup_agent.security.secret import Secret
from baqup_agent.staging.area import Staging
from baqup_agent.staging.child import Finished
from baqup_agent.staging.manifest import encode

T = TypeVar("T")

#: The author's declaration of custom triggers; `Triggers` itself where there are none.
L = TypeVarWithDefault("L", bound=Triggers, default=Triggers)


@define
class Job(Generic[L]):
    """One job, handed to the role method of an agent.

    Every method may be called from any thread of the job, and stops the caller with
    `JobCancelled` once the job must end.

    Attributes:
        id: the job's UUID.
        role: what is asked for.
        config: the variables of the environment, coerced, with defaults.
        staging: where artifacts are written.
        log: a logger whose records carry the job's identity.
        cancellation: tells when the job must stop.
        parallelism: how many workers to have: ``BAQUP_AGENT_PARALLELISM``, or where that is 0 as
            many as there are CPUs that the container may use.
    """

    id: str
    role: Role
    config: Configuration
    staging: Staging
    log: LogSink
    cancellation: CancellationToken
    _settings: Settings = field(alias="settings")
    _progress: Progress = field(alias="progress")
    _events: EventLog = field(alias="events")
    _vitals: Vitals = field(alias="vitals")
    _children: ChildProcesses = field(alias="children")
    _triggers: Triggers = field(alias="triggers")
    _beat: Callable[[], None] = field(alias="beat")
    _clock: Clock = field(factory=SystemClock, alias="clock")
    _tracing: Tracing = field(factory=Tracing, alias="tracing")
    parallelism: int = 1
    components: Components = field(factory=Components, init=False)
    source_metadata: dict[str, Any] = field(factory=dict, init=False)

    @property
    def lifecycle(self) -> L:
        """The custom triggers of the agent's lifecycle, each a method (see `Triggers`).

        A call returns once the transition was taken, its effects included.

        Raises:
            IllegalTransition: the current leaf does not accept the trigger; nothing has changed.
            RefusedTransition: its guards said no; nothing has changed.
            JobCancelled: the job must stop.
        """
        return cast("L", self._triggers)

    def progress(
        self,
        *,
        percent_complete: float | None = None,
        bytes_processed: int | None = None,
        files_processed: int | None = None,
        current_file: str | os.PathLike[str] | None = None,
        estimated_remaining_seconds: float | None = None,
    ) -> None:
        """Report how far the work is; cheap enough for every chunk (Contract §3).

        What is left out keeps its last value; counts and the percentage never go back.

        Args:
            percent_complete: 0 to 100.
            bytes_processed: bytes read from the source so far.
            files_processed: files done so far.
            current_file: what is being worked on.
            estimated_remaining_seconds: a guess, if there is a sound one.

        Raises:
            JobCancelled: the job must stop.
        """
        self.cancellation.check()
        self._vitals.last_progress_at = timestamp(self._clock.now())
        self._progress.update(
            percent_complete=percent_complete,
            bytes_processed=bytes_processed,
            files_processed=files_processed,
            current_file=None if current_file is None else os.fsdecode(current_file),
            estimated_remaining_seconds=estimated_remaining_seconds,
        )

    @contextlib.contextmanager
    def intent(
        self, operation: str, *, expected_duration_s: float, detail: str | None = None
    ) -> Iterator[None]:
        """Announce one long operation, so that the controller extends its patience (Contract §1).

        Args:
            operation: a word for it, for example ``checksum_large_file``.
            expected_duration_s: how long it should take, seconds.
            detail: a path or a text.
        """
        self.cancellation.check()
        before = self._vitals.intent
        self._tell_intent(Intent(operation, expected_duration_s, detail))
        try:
            yield
        finally:
            self._tell_intent(before)

    def _tell_intent(self, intent: Intent | None) -> None:
        self._vitals.intent = intent
        self._beat()  # the controller's patience must not end before the next regular beat

    def event(
        self,
        code: str,
        *,
        severity: str | None = None,
        message: str = "",
        path: str | os.PathLike[str] | None = None,
    ) -> None:
        """Tell the controller that something happened; equal codes are coalesced (Contract §3).

        Args:
            code: upper-case words, the contract's own or the agent's.
            severity: a log level's word; by default the contract's for the code, else ``info``.
            message: one line; by default what the code means.
            path: what it is about; a few are kept as samples.

        Raises:
            JobCancelled: the job must stop.
            InternalError: the code or the severity is malformed.
        """
        self.cancellation.check()
        self._events.add(
            code,
            severity=severity,
            message=message or None,
            path=None if path is None else os.fsdecode(path),
        )

    def warn(
        self, code: str, *, message: str = "", path: str | os.PathLike[str] | None = None
    ) -> None:
        """Tell of something that went wrong without ending the job: an event of ``warn``."""
        self.event(code, severity="warn", message=message, path=path)

    def metadata(self, **members: Any) -> None:
        """Add members to the manifest's ``source_metadata`` (Contract §4).

        Raises:
            InternalError: a member is no JSON value.
        """
        encode(members, "the source's metadata")  # here, where the author sees which call it was
        self.source_metadata.update(members)

    @contextlib.contextmanager
    def component(self, name: str) -> Iterator[None]:
        """Do one part of the work that may fail without failing the rest (Contract §5).

        An exception ends the part, not the job: it is noted as failed, and artifacts that were
        completed inside are discarded. `BAQUP_AGENT_PARTIAL_FAILURE_MODE` decides how the run
        ends then; if every component fails, the job fails.

        Components may go on side by side, each in a thread of its own. Where one of these has
        others write its artifacts, it runs them in copies of its context
        (`contextvars.copy_context`), or nobody can tell whose artifacts they are.
        """
        self.cancellation.check()
        with self.staging.component() as mark:
            try:
                yield
            except JobCancelled:
                raise
            except Exception as error:  # noqa: BLE001  the point: it stays inside its part
                while written := self.staging.written_in(mark):
                    self.staging.discard(written[0])  # with it go the other parts of the artifact
                failure = classify(error)
                self.log.error(f"component failed: {failure.message}", name=name, code=failure.code)
                self.components.add(Component(name, error=failure))
            else:
                written = self.staging.written_in(mark)
                self.components.add(Component(name, artifact=next(iter(written), None)))

    def run(
        self,
        argv: Sequence[str | os.PathLike[str]],
        *,
        stdin: bytes | Secret | IO[bytes] | BinaryIO | None = None,
        stdout: Sink | None = None,
        env: Mapping[str, str | Secret] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        timeout_s: float | None = None,
        check: bool = True,
        on_bytes: Callable[[int], object] | None = None,
    ) -> Finished:
        """Run a child process to its end; it never outlives the job.

        Args:
            argv: the command and its arguments; no shell is involved.
            stdin: bytes, an open file or any binary stream, such as an opened artifact, to feed
                it; nothing by default. A stream that cannot be read is the error then.
            stdout: takes its output piece by piece, for example an artifact; by default the
                output is collected and returned. An artifact is given up with the child that
                fails: a second try needs a new one.
            env: variables added to the inherited environment, which carries no
                ``BAQUP_SECRET_*`` and no bus URL: pass on what the child needs.
            cwd: its working directory.
            timeout_s: longest run, seconds; it is killed then.
            check: whether an exit code other than 0 is an error.
            on_bytes: told the size of each piece of its output.

        Returns:
            Its exit code, its collected output and the end of its stderr.

        Raises:
            CommandFailed: it could not be started, failed, or ran out of time; the message
                carries the last line of its stderr, `returncode` and `stderr` tell more.
            JobCancelled: the job must stop; the child was ended.
        """
        return self._children.run(
            argv,
            stdin=stdin,
            stdout=stdout,
            env=env,
            cwd=cwd,
            timeout_s=timeout_s,
            check=check,
            on_bytes=on_bytes,
        )

    def retry(
        self, function: Callable[[], T], *, on: tuple[type[BaseException], ...] = (OSError,)
    ) -> T:
        """Call ``function`` until it succeeds, with the configured attempts and backoff.

        Args:
            function: called without arguments.
            on: the errors after which it is called again.

        Returns:
            What the function returned.

        Raises:
            BaqupError: the error of the last attempt, with every attempt listed.
            JobCancelled: the job must stop.
        """
        return Retry(
            attempts_max=self._settings.job.retry_max,
            backoff=self._settings.job.retry_backoff,
            sleep=self.cancellation.sleep,
            clock=self._clock,
            on_retry=self._tell_retry,
        ).call(function, on)

    def _tell_retry(self, attempt: int, error: BaseException) -> None:
        reason = describe(error)
        self.event("CONNECTION_RETRY", message=f"attempt {attempt} failed: {reason}")
        self.log.warn("trying again", attempt=attempt, reason=reason)

    def span(self, name: str, /, **attributes: Any) -> AbstractContextManager[Span]:
        """Record what a ``with`` block does as a span, if the run is traced (Contract §6).

        Args:
            name: what is done, for instance ``agent.connect_source``.
            attributes: what else is known of it: texts, numbers or booleans.
        """
        return self._tracing.span(name, **attributes)

    def touch(self) -> None:
        """Note that the work is alive, where there is nothing to count."""
        self.cancellation.check()
        self._vitals.last_progress_at = timestamp(self._clock.now())
