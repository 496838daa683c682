"""Secrets and child processes: never among the arguments, never in what is kept of stderr."""

from __future__ import annotations

import os

import pytest

from baqup_agent import Secret
from baqup_agent.errors import CommandFailed, InternalError
from baqup_agent.job.cancellation import CancellationToken
from baqup_agent.job.child_streams import STDERR_KEPT_BYTES
from baqup_agent.job.process import ChildProcesses
from baqup_agent.observability.redaction import Redactor

PASSWORD = "c0rrect!horse"


@pytest.fixture
def redactor() -> Redactor:
    return Redactor([Secret(PASSWORD), Secret("shop")])


@pytest.fixture
def children(redactor: Redactor) -> ChildProcesses:
    return ChildProcesses(
        CancellationToken(),
        lambda: {"PATH": os.environ["PATH"]},
        clean=redactor.text,
        betrays=redactor.betrays,
    )


@pytest.mark.parametrize(
    "word",
    [Secret(PASSWORD), f"--password={Secret(PASSWORD)}", PASSWORD, f"--password={PASSWORD}"],
)
@pytest.mark.parametrize("place", [0, 2])
def test_a_secret_among_the_arguments_is_refused(
    children: ChildProcesses, word: object, place: int
) -> None:
    """Wrapped, printed or revealed; the error says what to do instead, and nothing is started."""
    argv = ["touch", "x", "y"]
    argv[place] = word  # type: ignore[call-overload]

    with pytest.raises(InternalError, match="holds a secret") as caught:
        children.run(argv)

    assert f"argument {place} of " in str(caught.value)
    assert "env={'NAME': secret} or stdin=secret" in str(caught.value)
    assert PASSWORD not in str(caught.value)
    assert caught.value.code == "SECRET_IN_ARGUMENTS"


def test_a_name_that_happens_to_be_a_secret_is_an_argument_like_any_other(
    children: ChildProcesses,
) -> None:
    """A database user's name may well be the database's, and has to be given to its tools."""
    assert children.run(["echo", "--user=shop"]).stdout == b"--user=shop\n"


@pytest.mark.parametrize("value", [PASSWORD, "k\udcff\nx"])
def test_a_child_gets_a_secret_by_environment_or_stdin(
    children: ChildProcesses, value: str
) -> None:
    """The Secret itself is passed; nobody needs to reveal it on the way."""
    raw = os.fsencode(value)

    by_env = children.run(["printenv", "PGPASSWORD"], env={"PGPASSWORD": Secret(value)})
    by_stdin = children.run(["cat"], stdin=Secret(value))

    assert by_env.stdout == raw + b"\n"
    assert by_stdin.stdout == raw


@pytest.mark.parametrize(
    "script",
    [
        'echo "auth failed for $P" >&2; exit 1',
        'echo "$P" >&2; echo "auth failed for c0rrect%21hors$E" >&2; exit 1',
        "printf 'auth failed for ' >&2; printf \"$P\" | base64 >&2; exit 1",
    ],
)
def test_the_reason_of_a_failure_is_cleaned(children: ChildProcesses, script: str) -> None:
    """Whatever form the child has printed its secret in."""
    env = {"P": Secret(PASSWORD), "E": "e"}

    with pytest.raises(CommandFailed, match=r"auth failed for \[REDACTED\]$"):
        children.run(["sh", "-c", script], env=env)

    assert PASSWORD not in children.run(["sh", "-c", script], env=env, check=False).stderr


def test_each_line_of_a_key_is_cleaned(children: ChildProcesses, redactor: Redactor) -> None:
    """A key that a child prints over several lines, indented and numbered, is gone."""
    lines = [f"MIIE{number}vQIBADANBgkq" for number in range(3)]
    redactor.add(Secret("\n".join(lines)))
    indented = "".join(f"  {line}:\n" for line in lines).encode()

    finished = children.run(["sh", "-c", "cat >&2"], stdin=indented)

    assert finished.stderr.splitlines() == ["[REDACTED]:", *2 * ["  [REDACTED]:"]]


def test_a_secret_that_is_no_text_is_cleaned(children: ChildProcesses, redactor: Redactor) -> None:
    """Its bytes are compared as bytes, although what is kept is text."""
    redactor.add(Secret("k\udcff\udcfeey-\udc80"))

    printed = b"\xff k\xff\xfeey-\x80\xc3"
    assert children.run(["sh", "-c", "cat >&2"], stdin=printed).stderr == "\ufffd [REDACTED]\ufffd"


@pytest.mark.parametrize("between", [b"\n", b" "])
@pytest.mark.parametrize("reach", [STDERR_KEPT_BYTES, STDERR_KEPT_BYTES + 16 * 1024])
def test_no_half_secret_is_left_where_stderr_was_cut(
    children: ChildProcesses, reach: int, between: bytes
) -> None:
    """Wherever the cut falls within the secret, nothing of it remains."""
    end = b"\nthe end"
    for into in range(0, len(PASSWORD) + 4, 3):
        head = b"x" * 1_000_000 + b"\n" + PASSWORD.encode() + between
        printed = head + b"y" * (reach - len(end) - into) + end

        kept = children.run(["sh", "-c", "cat >&2"], stdin=printed).stderr

        assert kept.endswith("the end")
        assert len(kept) <= STDERR_KEPT_BYTES
        assert not any(PASSWORD[at : at + 4] in kept for at in range(len(PASSWORD) - 3))
