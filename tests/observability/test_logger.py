"""Log records: one line each, in form, without secrets (Contract §6)."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baqup_agent import Logger, LogLevel, Secret
from baqup_agent.observability.redaction import Redactor
from tests.spec import assert_keeps

JOB_ID = "123e4567-e89b-12d3-a456-426614174000"


class Scene:
    def __init__(self, **arguments: object) -> None:
        self.stream = io.StringIO()
        arguments = {"level": "trace", "format": "json", **arguments}
        self.logger = Logger(JOB_ID, "agent-x-1", stream=self.stream, **arguments)

    @property
    def lines(self) -> list[str]:
        return self.stream.getvalue().splitlines()


@pytest.mark.parametrize("level", list(LogLevel))
def test_each_level_is_written_in_the_contracts_form(level: LogLevel) -> None:
    """The record validates against the schema and carries identity, component and context."""
    scene = Scene()

    getattr(scene.logger.bind("staging"), level.word)("moved", files=3)

    (line,) = scene.lines
    record = json.loads(line)
    assert_keeps("log", record)
    assert record["level"] == level.word
    assert record["job_id"] == JOB_ID
    assert record["component"] == "staging"
    assert record["message"] == "moved"
    assert record["context"] == {"files": 3}


@pytest.mark.parametrize("least", list(LogLevel))
def test_what_is_less_severe_than_the_level_is_left_out(least: LogLevel) -> None:
    """Exactly the levels from the configured one up are written."""
    scene = Scene(level=least)
    for level in LogLevel:
        getattr(scene.logger, level.word)("x")

    written = [json.loads(line)["level"] for line in scene.lines]
    assert written == [level.word for level in LogLevel if level >= least]


@given(st.text(), st.dictionaries(st.text(), st.text() | st.integers() | st.none()))
def test_any_record_is_one_line_that_reads_back(message: str, context: dict) -> None:
    """Line breaks, braces, quotes and surrogates in message or context do no harm."""
    scene = Scene()
    names = {f"c_{index}": value for index, value in enumerate(context.values())}

    scene.logger.info(message, **names)
    scene.logger.close()

    text = scene.stream.getvalue()
    assert text.endswith("\n")
    assert text.count("\n") == 1
    assert json.loads(text)["message"] == message
    assert json.loads(text)["context"] == names


@pytest.mark.parametrize("form", ["text", "logfmt"])
def test_text_and_logfmt_are_one_line_too(form: str) -> None:
    """They hold the level, the message and the context."""
    scene = Scene(format=form)

    scene.logger.warn("two\nlines", path="/a b", count=2)

    (line,) = scene.lines
    assert "warn" in line
    assert "two\\nlines" in line
    assert 'path="/a b"' in line
    assert "count=2" in line


def test_a_closed_stream_does_not_disturb_the_job() -> None:
    """Whoever reads the log may go away."""
    scene = Scene()
    scene.stream.close()

    scene.logger.error("nobody hears this")


def test_a_closed_logger_writes_no_more() -> None:
    """After close, and after a second close, nothing is written."""
    scene = Scene()
    scene.logger.close()
    scene.logger.close()

    scene.logger.info("x")

    assert scene.lines == []


def test_the_state_is_told_with_every_record() -> None:
    """What describes the run stands in each context, and yields to the record's own words."""
    scene = Scene()
    state = {"state": "running", "substate": "dumping"}
    scene.logger.describe(lambda: state)

    scene.logger.info("a")
    state["state"] = "completing"
    scene.logger.bind("staging").info("b", substate="own")
    scene.logger.close()

    contexts = [json.loads(line)["context"] for line in scene.lines]
    assert contexts == [
        {"state": "running", "substate": "dumping"},
        {"state": "completing", "substate": "own"},
    ]


def test_the_component_is_the_module_that_speaks() -> None:
    """An author's module by its name; one of this package by the folder it lies in."""
    scene = Scene()
    names = {
        "my_agent.dump": "my_agent.dump",
        "baqup_agent.staging.area": "staging",
        "__main__": "agent",
    }
    for module in names:
        exec("log.info('x')", {"__name__": module, "log": scene.logger})
    scene.logger.info("x")
    scene.logger.close()

    components = [json.loads(line)["component"] for line in scene.lines]
    assert components == [*names.values(), __name__]


def test_every_record_is_cleaned() -> None:
    """Secrets go from message, context, names in it, component and what describes the run."""
    scene = Scene(redactor=Redactor([Secret("correct-horse")]))
    scene.logger.describe(lambda: {"substate": "correct-horse"})

    scene.logger.bind("correct-horse").info("<correct-horse>", nested={"correct-horse": [1]})
    scene.logger.close()

    record = json.loads(scene.lines[0])
    assert record["component"] == "[REDACTED]"
    assert record["message"] == "<[REDACTED]>"
    assert record["context"] == {"substate": "[REDACTED]", "nested": {"[REDACTED]": [1]}}


@pytest.mark.parametrize("stream", ["closed", "absent"])
def test_a_process_without_stderr_can_log(stream: str) -> None:
    """Nobody reads, and nothing fails."""
    code = (
        "import sys\n"
        + ("sys.stderr = None\n" if stream == "absent" else "sys.stderr.close()\n")
        + "from baqup_agent import Logger\n"
        "log = Logger('j', 'a', 'info', 'text', capture_all=True)\n"
        "log.error('x')\nlog.close()\nprint('done')"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert done.stdout == "done\n"


def test_an_unknown_level_is_named() -> None:
    """The word, and the words that would do, stand in the error."""
    with pytest.raises(ValueError, match="'loud' is no log level; one of trace, debug"):
        Scene(level="loud")


def test_importing_the_package_configures_nothing() -> None:
    """No slow library, no handler, no signal, no thread comes with the import."""
    code = (
        "import sys, signal, threading, logging\n"
        "before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)\n"
        "import baqup_agent\n"
        "assert not {'redis', 'jsonschema', 'backports.zstd', 'loguru', 'attrs', 'transitions',"
        " 'click', 'rich', 'tenacity'} & set(sys.modules), sys.modules\n"
        "assert before == (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT))\n"
        "assert threading.active_count() == 1\n"
        "assert not logging.getLogger().handlers\n"
    )

    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ})
