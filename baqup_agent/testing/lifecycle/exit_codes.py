"""Which exit code each error leads to, written out by hand from Contract §5.

The error tree carries the same numbers on its classes. They are stated a second time, because a
kit that read them from there would agree with any mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from attrs import frozen

from baqup_agent import errors
from baqup_agent.lifecycle.illegal import IllegalTransition

#: Exit codes by the names of the classes of `baqup_agent.errors`.
OWN: Mapping[str, int] = {
    "GeneralFailure": 1,
    "Aborted": 1,
    "JobTimeout": 1,
    "CommandFailed": 1,
    "ConfigError": 64,
    "UsageError": 64,
    "BusRefused": 64,
    "DataError": 65,
    "LimitExceeded": 65,
    "PathEscape": 65,
    "VerificationFailed": 65,
    "SourceUnavailable": 69,
    "InitializationTimeout": 69,
    "BaqupError": 70,
    "InternalError": 70,
    "LifecycleError": 70,
    "NoArtifact": 70,
    "OutputError": 73,
    "AlreadyPublished": 73,
    "IOFailure": 74,
    "CompletionTimeout": 74,
    "Unreported": 75,
    "PartialFailure": 76,
}

#: Exit codes by the error codes that a deadline may name.
DEADLINES: Mapping[str, int] = {
    "INITIALIZATION_TIMEOUT": 69,
    "JOB_TIMEOUT": 1,
    "COMPLETION_TIMEOUT": 74,
}

#: What a run ends with that was asked to stop.
ABORTED = 1

#: What a run ends with whose manifest is visible and whose status is not delivered.
UNREPORTED = 75

#: What a run ends with in which a trigger was illegal.
INTERNAL = 70


@frozen
class Trouble:
    """Something that goes wrong in a run.

    Attributes:
        name: what it is called in a test's id.
        make: makes the exception.
        exit_code: what the run has to end with.
    """

    name: str
    make: Callable[[], BaseException]
    exit_code: int


def _illegal() -> IllegalTransition:
    return IllegalTransition("running", "terminate", ("complete", "fail"))


#: Exceptions of others, which the runtime gives a place in the tree (Contract §5).
FOREIGN: tuple[Trouble, ...] = (
    Trouble("OSError", lambda: OSError(5, "Input/output error"), 74),
    Trouble("PermissionError", lambda: PermissionError(13, "Permission denied"), 74),
    Trouble("BrokenPipeError", lambda: BrokenPipeError(32, "Broken pipe"), 74),
    Trouble("ConnectionRefusedError", lambda: ConnectionRefusedError(111, "refused"), 69),
    Trouble("TimeoutError", lambda: TimeoutError("too slow"), 69),
    Trouble("NetworkUnreachable", lambda: OSError(101, "Network is unreachable"), 69),
    Trouble("IllegalTransition", _illegal, 70),
    Trouble("ValueError", lambda: ValueError("a bug"), 70),
    Trouble("MemoryError", MemoryError, 70),
    Trouble("AssertionError", lambda: AssertionError("a bug"), 70),
    Trouble("KeyboardInterrupt", KeyboardInterrupt, 70),
    Trouble("SystemExit-0", lambda: SystemExit(0), 70),
    Trouble("SystemExit-3", lambda: SystemExit(3), 70),
    Trouble("JobCancelled", lambda: errors.JobCancelled("stop"), 70),
)


def troubles() -> tuple[Trouble, ...]:
    """Every error class of `baqup_agent.errors`, and what stands for the exceptions of others.

    Raises:
        KeyError: a class has no exit code in `OWN`; the contract's table decides which.
    """
    own = (Trouble(cls.__name__, _maker(cls), OWN[cls.__name__]) for cls in _tree())
    return (*own, *FOREIGN)


def _maker(cls: type[errors.BaqupError]) -> Callable[[], BaseException]:
    return lambda: cls("raised by the test kit")


def _tree() -> Iterator[type[errors.BaqupError]]:
    """The classes of that module; an author's own inherit their codes from them."""
    unseen: list[type[errors.BaqupError]] = [errors.BaqupError]
    while unseen:
        cls = unseen.pop()
        unseen.extend(reversed(cls.__subclasses__()))
        if cls.__module__ == errors.__name__:
            yield cls
