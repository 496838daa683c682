"""The error tree; each class carries its exit code, category and error code (Contract §5).

    BaqupError
    ├── GeneralFailure ............  1
    │   ├── Aborted                     a signal asked the job to stop
    │   ├── JobTimeout                  BAQUP_JOB_TIMEOUT expired
    │   └── CommandFailed               a child process ended badly
    ├── ConfigError ............... 64
    │   ├── UsageError                  the command line
    │   └── BusRefused                  malformed bus URL, refused credentials
    ├── DataError ................. 65
    │   ├── LimitExceeded               more input than configured
    │   ├── PathEscape                  a path outside its boundary
    │   └── VerificationFailed          a manifest or checksum that does not hold
    ├── SourceUnavailable ......... 69
    │   └── InitializationTimeout
    ├── InternalError ............. 70
    │   ├── LifecycleError              a trigger that is illegal in its state
    │   └── NoArtifact                  a snapshot that wrote nothing
    ├── OutputError ............... 73
    │   └── AlreadyPublished
    ├── IOFailure ................. 74
    │   └── CompletionTimeout
    ├── Unreported ................ 75
    └── PartialFailure ............ 76

Foreign exceptions are given a place in this tree by `classify`, in one room for all of the
package. `JobCancelled` stands outside: it unwinds the author's code and is no error by itself.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Any, ClassVar

from baqup_agent.contract import ErrorCategory, ExitCode
from baqup_agent.lifecycle.illegal import IllegalTransition


class JobCancelled(BaseException):
    """Unwinds the author's code once the job's cancellation was asked for.

    A ``BaseException`` so that ``except Exception`` in an agent does not swallow it.
    """


class BaqupError(Exception):
    """Base of every error of this package.

    Args:
        message: one line naming the value, the rule and what would be valid.
        suggestions: remedies, one sentence each.
        attempts: earlier tries as §5 writes them (see `Attempt.to_wire`).
        code: a more special error code than the class's own.
        retriable: overrides the class's default.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.INTERNAL_ERROR
    category: ClassVar[ErrorCategory] = ErrorCategory.INTERNAL
    code: str = "INTERNAL_ERROR"
    retriable: bool = False

    def __init__(
        self,
        message: str,
        *,
        suggestions: Sequence[str] = (),
        attempts: Sequence[dict[str, Any]] = (),
        code: str | None = None,
        retriable: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.suggestions = tuple(suggestions)
        self.attempts = tuple(attempts)
        if code is not None:
            self.code = code
        if retriable is not None:
            self.retriable = retriable

    def to_wire(self) -> dict[str, Any]:
        """Return the error object of Contract §5."""
        return {
            "code": self.code,
            "category": str(self.category),
            "retriable": self.retriable,
            "message": self.message,
            "attempts": list(self.attempts),
            "root_cause": _root_cause(self),
            "cascading_effects": [],
            "suggestions": list(self.suggestions),
        }


class GeneralFailure(BaqupError):
    """The job failed for a reason that may pass."""

    exit_code = ExitCode.GENERAL_FAILURE
    category = ErrorCategory.TRANSIENT
    code = "GENERAL_FAILURE"
    retriable = True


class Aborted(GeneralFailure):
    """A signal asked the job to stop before its artifacts were complete (Contract §1)."""

    code = "ABORTED"


class JobTimeout(GeneralFailure):
    """The work took longer than ``BAQUP_JOB_TIMEOUT`` (Contract §1)."""

    code = "JOB_TIMEOUT"


class CommandFailed(GeneralFailure):
    """A child process could not be started, failed, or ran out of time.

    Args:
        message: one line with the last that the child said.
        returncode: its exit code, negative for the signal that killed it; None if it never started.
        stderr: the end of what it wrote there, secrets taken out.
    """

    code = "COMMAND_FAILED"

    def __init__(
        self, message: str, *, returncode: int | None = None, stderr: str = "", **details: Any
    ) -> None:
        super().__init__(message, **details)
        self.returncode = returncode
        self.stderr = stderr


class ConfigError(BaqupError):
    """The configuration cannot be used; all that is wrong with it, at once (Contract §2).

    Args:
        problems: one line for each thing that is wrong.
        suggestions: remedies, one sentence each.
        code: a more special error code than the class's own.
    """

    exit_code = ExitCode.USAGE_CONFIG_ERROR
    category = ErrorCategory.CONFIG
    code = "CONFIG_INVALID"

    def __init__(
        self, *problems: str, suggestions: Sequence[str] = (), code: str | None = None
    ) -> None:
        super().__init__("; ".join(problems), suggestions=suggestions, code=code)
        self.problems = problems


class UsageError(ConfigError):
    """The command line cannot be used."""

    code = "USAGE"


class BusRefused(ConfigError):
    """The bus URL is malformed, or the bus refused the credentials (Contract §3)."""

    code = "BUS_REFUSED"


class DataError(BaqupError):
    """The input is malformed or breaks a limit."""

    exit_code = ExitCode.DATA_ERROR
    category = ErrorCategory.PERMANENT
    code = "DATA_INVALID"


class LimitExceeded(DataError):
    """The source holds more than a configured limit allows (Contract §7)."""

    code = "RESOURCE_LIMIT_EXCEEDED"


class PathEscape(DataError):
    """A path resolves to a place outside its boundary (Contract §7)."""

    code = "PATH_ESCAPE"


class VerificationFailed(DataError):
    """A published directory does not hold what its manifest promises (Contract §4)."""

    code = "VERIFICATION_FAILED"


class SourceUnavailable(BaqupError):
    """The source or a network peer cannot be reached."""

    exit_code = ExitCode.RESOURCE_UNAVAILABLE
    category = ErrorCategory.TRANSIENT
    code = "SOURCE_UNAVAILABLE"
    retriable = True


class InitializationTimeout(SourceUnavailable):
    """``initializing`` took longer than its 30 seconds (Contract §1)."""

    code = "INITIALIZATION_TIMEOUT"


class InternalError(BaqupError):
    """A bug in the agent."""


class LifecycleError(InternalError):
    """A trigger was fired that is illegal in its state."""

    code = "ILLEGAL_TRANSITION"


class NoArtifact(InternalError):
    """A snapshot ended without having written an artifact."""

    code = "NO_ARTIFACT"


class OutputError(BaqupError):
    """An output directory or file cannot be created."""

    exit_code = ExitCode.CANT_CREATE_OUTPUT
    category = ErrorCategory.TRANSIENT
    code = "CANT_CREATE_OUTPUT"
    retriable = True


class AlreadyPublished(OutputError):
    """The job's directory holds a manifest already; published work is never touched."""

    category = ErrorCategory.PERMANENT
    code = "ALREADY_PUBLISHED"
    retriable = False


class IOFailure(BaqupError):
    """Reading, writing, syncing or renaming failed."""

    exit_code = ExitCode.IO_ERROR
    category = ErrorCategory.TRANSIENT
    code = "IO_ERROR"
    retriable = True


class CompletionTimeout(IOFailure):
    """``completing`` took longer than its 60 seconds (Contract §1)."""

    code = "COMPLETION_TIMEOUT"


class Unreported(BaqupError):
    """The manifest is published, but the status could not be reported (Contract §3)."""

    exit_code = ExitCode.COMPLETED_UNREPORTED
    category = ErrorCategory.TRANSIENT
    code = "UNREPORTED"
    retriable = True


class PartialFailure(BaqupError):
    """Some components failed, and the mode is ``fail`` (Contract §5)."""

    exit_code = ExitCode.PARTIAL_FAILURE
    category = ErrorCategory.PARTIAL
    code = "PARTIAL_FAILURE"
    retriable = True


def error_class(code: str) -> type[BaqupError]:
    """Return the class whose own error code is ``code``; KeyError if there is none."""
    unseen: list[type[BaqupError]] = [BaqupError]
    while unseen:
        cls = unseen.pop()
        if cls.__dict__.get("code") == code:
            return cls
        unseen.extend(cls.__subclasses__())
    raise KeyError(code)


#: OSError numbers that mean "a peer or resource is out of reach".
_UNREACHABLE = frozenset(
    {
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.ECONNABORTED,
        errno.EHOSTUNREACH,
        errno.EHOSTDOWN,
        errno.ENETUNREACH,
        errno.ENETDOWN,
        errno.ETIMEDOUT,
    }
)


def classify(error: BaseException) -> BaqupError:
    """Give any exception its place in the tree; one of ours is returned as it is.

    The mapping is Contract §5's for what nobody caught: network trouble is 69, any other
    operating-system error 74, everything else a bug (70).
    """
    if isinstance(error, BaqupError):
        return error
    return _caused_by(_translate(error), error)


def _translate(error: BaseException) -> BaqupError:
    text = describe(error)
    if isinstance(error, IllegalTransition):
        return LifecycleError(text)
    if _is_unreachable(error):
        return SourceUnavailable(text, suggestions=["check that the peer is up and reachable"])
    if isinstance(error, OSError):
        return IOFailure(text)
    if isinstance(error, SystemExit):
        return InternalError(
            f"the agent's code called sys.exit({error.code!r}); the SDK decides the exit code",
            suggestions=["raise an error of baqup_agent.errors, or return"],
        )
    return InternalError(text, suggestions=["report this to the agent's author"])


def describe(error: BaseException) -> str:
    """Return the exception as one line: its class, and its text where it has one."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _is_unreachable(error: BaseException) -> bool:
    if isinstance(error, ConnectionError | TimeoutError) and not isinstance(error, BrokenPipeError):
        return True
    # socket.gaierror is recognised by name: importing socket here would slow every start.
    named = any(cls.__name__ in {"gaierror", "herror"} for cls in type(error).__mro__)
    return named or (isinstance(error, OSError) and error.errno in _UNREACHABLE)


def _caused_by(translated: BaqupError, cause: BaseException) -> BaqupError:
    translated.__cause__ = cause
    translated.__traceback__ = cause.__traceback__
    return translated


def _root_cause(error: BaseException) -> dict[str, str] | None:
    cause: BaseException | None = error.__cause__
    if cause is None:
        return None
    seen = {id(error)}
    while cause.__cause__ is not None and id(cause) not in seen:  # an error may cause itself
        seen.add(id(cause))
        cause = cause.__cause__
    code = cause.code if isinstance(cause, BaqupError) else _foreign_code(cause)
    return {"code": code, "message": describe(cause)}


def _foreign_code(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno is not None:
        return errno.errorcode.get(error.errno, type(error).__name__)
    return type(error).__name__
