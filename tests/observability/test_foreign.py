"""What others write becomes records of the run, each once (Contract §6)."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from baqup_agent import Logger, LogLevel, Secret
from baqup_agent.observability.levels import LOGURU, STANDARD, level_of
from tests.spec import assert_keeps

JOB_ID = "123e4567-e89b-12d3-a456-426614174000"


class Scene:
    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.logger = Logger(JOB_ID, "agent-x-1", stream=self.stream, capture_all=True)

    @property
    def records(self) -> list[dict]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    @property
    def record(self) -> dict:
        (record,) = self.records
        assert_keeps("log", record)
        return record


@pytest.fixture
def scene() -> Iterator[Scene]:
    scene = Scene()
    yield scene
    scene.logger.close()


@pytest.fixture
def library() -> Iterator[logging.Logger]:
    """A library's logger, left as it was found."""
    library = logging.getLogger("some.library")
    yield library
    library.handlers.clear()
    library.propagate = True
    library.setLevel(logging.NOTSET)


def test_a_librarys_record_takes_the_runs_form(scene: Scene, library: logging.Logger) -> None:
    """The logger's name is the component; arguments are filled in; extras are the context."""
    library.warning("took %d s", 7, extra={"host": "h"})

    record = scene.record
    assert record["component"] == "some.library"
    assert record["level"] == "warn"
    assert record["message"] == "took 7 s"
    assert record["context"] == {"host": "h"}


def test_a_library_that_prints_by_itself_is_not_heard_twice(
    scene: Scene, library: logging.Logger, capfd: pytest.CaptureFixture
) -> None:
    """Its handlers to the console are passed over, whenever it made them, and propagate or not."""
    from rich.console import Console
    from rich.logging import RichHandler

    for handler in (
        logging.StreamHandler(),
        logging.StreamHandler(sys.stdout),
        RichHandler(console=Console(file=sys.stderr)),
    ):
        library.handlers[:] = [handler]
        for propagate in (True, False):
            library.propagate = propagate
            library.error("once")

    assert [record["message"] for record in scene.records] == ["once"] * 6
    assert capfd.readouterr() == ("", "")


def test_a_librarys_files_are_its_own(
    scene: Scene, library: logging.Logger, tmp_path: Path
) -> None:
    """Handlers that do not print go on as before, each with its own level."""
    loud, quiet = logging.StreamHandler(io.StringIO()), logging.FileHandler(tmp_path / "log")
    loud.setLevel(logging.ERROR)
    library.handlers[:] = [loud, quiet]

    library.warning("kept")
    quiet.close()

    assert loud.stream.getvalue() == ""
    assert (tmp_path / "log").read_text() == "kept\n"
    assert scene.record["message"] == "kept"


def test_levels_follow_the_configuration(scene: Scene, library: logging.Logger) -> None:
    """Loggers without a level of their own make what will be written; others keep theirs."""
    library.info("seen")
    library.debug("unseen")
    scene.logger.adjust(job_id=JOB_ID, level="debug", format="json")
    library.debug("seen too")
    library.setLevel(logging.ERROR)
    library.warning("unseen")

    assert [record["message"] for record in scene.records] == ["seen", "seen too"]


def test_the_engine_room_is_not_heard(scene: Scene) -> None:
    """What the state machine's library says of every step is in our own words already."""
    scene.logger.adjust(job_id=JOB_ID, level="trace", format="json")
    logging.getLogger("transitions.core").info("Executed callback")
    logging.getLogger("transitions.core").warning("odd")

    assert scene.record["message"] == "odd"


def test_a_traceback_stays_inside_its_record(scene: Scene, library: logging.Logger) -> None:
    """The error in one member, the way to it in another, causes and all, in one line."""
    try:
        try:
            raise OSError(5, "first")
        except OSError as error:
            raise ValueError("then") from error
    except ValueError:
        library.exception("it broke")

    context = scene.record["context"]
    assert context["exception"] == "ValueError: then"
    assert "OSError: [Errno 5] first" in context["traceback"]
    assert context["traceback"].startswith("Traceback (most recent call last):\n")


def test_an_exception_without_a_text_is_told_all_the_same(
    scene: Scene, library: logging.Logger
) -> None:
    """The record is written, with the name of the class."""

    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    try:
        raise Mute
    except Mute:
        library.exception("it broke")

    assert scene.record["context"]["exception"] == "Mute"


def test_a_librarys_mistake_costs_no_line(scene: Scene, library: logging.Logger) -> None:
    """Arguments that do not fit the message are told of, not raised and not printed."""
    library.propagate = False  # pytest's own handlers would raise
    library.error("%d files", "many")

    assert scene.record["message"] == "%d files"
    assert "do not fit" in scene.record["context"]["arguments"]


def test_repetitions_are_recognised_by_their_template(
    scene: Scene, library: logging.Logger
) -> None:
    """A library's line repeats itself whatever its arguments are."""
    for host in range(50):
        library.error("lost %s", f"host-{'x' * host}")
    scene.logger.close()

    assert scene.records[-1]["context"] == {"repeated": 30}


def test_warnings_are_records(scene: Scene) -> None:
    """A warning says where it comes from; its line of source stays out."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = warnings.showwarning  # as catch_warnings would restore it
        warnings.warn("old ways", DeprecationWarning, stacklevel=1)

    record = scene.record
    assert record["message"] == "old ways"
    assert record["level"] == "warn"
    assert record["context"]["category"] == "DeprecationWarning"
    assert record["context"]["file"] == __file__


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_threads_death_is_a_record(scene: Scene) -> None:
    """An exception that nobody caught in a thread does not go to stderr by itself."""

    def die() -> None:
        raise ValueError("in a thread")

    for target in (die, lambda: sys.exit(3)):
        thread = threading.Thread(target=target, name="helper")
        thread.start()
        thread.join()

    record = scene.record
    assert record["level"] == "error"
    assert record["context"]["thread"] == "helper"
    assert record["context"]["exception"] == "ValueError: in a thread"


CRASH = """
import sys, gc
from baqup_agent import Logger, Secret
log = Logger("j", "a", capture_all=True)
log.redactor.add(Secret("correct-horse-battery"))
class Broken:
    def __del__(self):
        raise ValueError("in a finaliser")
broken = Broken()
del broken
def crash(argument="correct-horse-battery"):
    raise RuntimeError(f"no {argument}")
crash()
"""


def test_a_crash_is_a_record_too() -> None:
    """What ends the interpreter, and what it cannot raise, are lines in form, without secrets."""
    done = subprocess.run(
        [sys.executable, "-c", CRASH], check=False, capture_output=True, text=True
    )

    ignored, crash = map(json.loads, done.stderr.splitlines())
    assert done.returncode == 1
    assert ignored["context"]["exception"] == "ValueError: in a finaliser"
    assert crash["level"] == "fatal"
    assert crash["context"]["exception"] == "RuntimeError: no [REDACTED]"


def test_an_authors_own_loguru_lines_are_records(scene: Scene) -> None:
    """They take the same form, tracebacks inside, named for their module."""
    from loguru import logger

    try:
        raise OSError("no")
    except OSError:
        logger.exception("foreign {braces}")

    record = scene.record
    assert record["message"] == "foreign {braces}"
    assert record["component"] == __name__
    assert record["context"]["exception"] == "OSError: no"
    assert "Traceback" in record["context"]["traceback"]


def test_only_one_logger_takes_what_others_write(scene: Scene, library: logging.Logger) -> None:
    """A logger that was not asked to capture writes its own records alone."""
    other = Logger(JOB_ID, "agent-x-2", stream=io.StringIO())
    from loguru import logger

    library.error("x")
    logger.error("y")
    other.close()

    assert other._stream.getvalue() == ""
    assert len(scene.records) == 2


def test_everything_is_put_back_at_the_end(library: logging.Logger) -> None:
    """After close the process logs as before the run; a second close does no harm."""
    places = (
        (logging.Logger, "callHandlers"), (warnings, "showwarning"), (sys, "excepthook"),
        (sys, "unraisablehook"), (threading, "excepthook"),
    )  # fmt: skip
    before = [getattr(owner, name) for owner, name in places]
    levels = [logging.root.level, logging.getLogger("transitions").level]
    scene = Scene()
    during = [getattr(owner, name) for owner, name in places]
    scene.logger.close()
    scene.logger.close()
    library.error("unheard")

    assert all(now is not then for now, then in zip(during, before, strict=True))
    assert [getattr(owner, name) for owner, name in places] == before
    assert [logging.root.level, logging.getLogger("transitions").level] == levels
    assert scene.records == []


def test_a_record_made_while_another_is_written_does_no_harm(
    scene: Scene, library: logging.Logger
) -> None:
    """An object that logs while it is turned into text cannot wedge or fail the log."""

    class Chatty:
        def __str__(self) -> str:
            library.error("from within")
            return "chatty"

    scene.logger.info("outer", value=Chatty())

    assert scene.records[-1]["context"] == {"value": "chatty"}


def test_secrets_of_others_are_cleaned_too(scene: Scene, library: logging.Logger) -> None:
    """Message, arguments, extras and tracebacks of a library pass the same net."""
    scene.logger.redactor.add(Secret("correct-horse"))
    try:
        raise ValueError("correct-horse")
    except ValueError:
        library.exception("x %s", "correct-horse", extra={"y": "correct-horse"})

    assert "correct-horse" not in scene.stream.getvalue()
    assert scene.stream.getvalue().count("[REDACTED]") == 5


@pytest.mark.parametrize("level", list(LogLevel))
def test_levels_are_mapped_both_ways(level: LogLevel) -> None:
    """Each level comes back from loguru's and the standard library's scale."""
    from loguru import logger

    assert level_of(STANDARD[level]) is level
    assert logger.level(LOGURU[level]).no == STANDARD[level]


@pytest.mark.parametrize(
    ("number", "word"),
    [(-1, "trace"), (0, "trace"), (7, "trace"), (15, "debug"), (25, "info"), (35, "warn"),
     (49, "error"), (1000, "fatal")],
)  # fmt: skip
def test_numbers_between_two_levels_are_the_lower_one(number: int, word: str) -> None:
    """Any number that somebody made up has a level of the contract."""
    assert level_of(number).word == word
