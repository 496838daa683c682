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


def test_records_of_other_users_of_loguru_are_captured_when_asked_for() -> None:
    """An author's own loguru lines take the same form, tracebacks inside the record."""
    from loguru import logger

    scene, other = Scene(capture_all=True), Scene()
    try:
        raise OSError("no")
    except OSError:
        logger.exception("foreign")

    (line,) = scene.lines
    assert json.loads(line)["message"] == "foreign"
    assert "OSError" in json.loads(line)["context"]["exception"]
    assert other.lines == []


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


SECRETS = ["hunter2", 'quo"te', "sl/ash+plus=", "ümlaut", "two words", "hunter2-longer", "nl\nx"]


@pytest.mark.parametrize("value", SECRETS)
def test_a_secret_is_redacted_in_every_form(value: str) -> None:
    """Plain, URL-quoted, JSON-escaped, repr and base64, in message and context, longest first."""
    import base64
    from urllib.parse import quote, quote_plus

    redactor = Redactor([Secret(secret) for secret in SECRETS])
    forms = [
        value, quote(value, safe=""), quote(value), quote_plus(value), json.dumps(value)[1:-1],
        repr(value)[1:-1], base64.b64encode(value.encode()).decode(),
        base64.urlsafe_b64encode(value.encode()).decode(),
    ]  # fmt: skip
    scene = Scene(redactor=redactor)

    for form in forms:
        scene.logger.info(f"<{form}>", nested={"key": [form]}, path=form)

    for line in scene.lines:
        record = json.loads(line)
        assert record["message"].rstrip("=>") == "<[REDACTED]"
        assert record["context"]["nested"]["key"][0].rstrip("=") == "[REDACTED]"
    assert len(scene.lines) == len(forms)


@pytest.mark.parametrize(
    ("sanitize", "expected"),
    [
        ("none", "redis://me:pw@host/0 /home/ann/x"),
        ("moderate", "redis://[REDACTED]@host/0 /home/ann/x"),
        ("strict", "redis://[REDACTED]@host/0 [PATH]"),
    ],
)
def test_sanitizing_goes_as_far_as_configured(sanitize: str, expected: str) -> None:
    """Credentials in URLs from moderate on, absolute paths under strict."""
    assert Redactor(sanitize=sanitize).text("redis://me:pw@host/0 /home/ann/x") == expected


def test_identities_in_a_message_are_never_redacted() -> None:
    """A secret that equals one of the contract's words does not break the message."""
    redactor = Redactor([Secret("running"), Secret("success")])

    cleaned = redactor.message(
        {
            "type": "heartbeat",
            "state": "running",
            "intent": {"detail": "running"},
            "n": 1,
            "files": [{"path": "success"}],
        }
    )

    assert cleaned == {
        "type": "heartbeat", "state": "running", "intent": {"detail": "[REDACTED]"}, "n": 1,
        "files": [{"path": "[REDACTED]"}],
    }  # fmt: skip


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
